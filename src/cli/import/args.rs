//! The arguments of `import`.

use clap::Args;

use crate::{
    cli::{connect::ClusterArgs, plan::secret::FileArgs},
    meta::settings::{DEFAULT_URL, DEFAULT_VERSION},
};

/// Prints manifests for a portfolio and its numbers, as they are at Meta; writes nothing.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Credentials come from the first of these that has them:
  --sandbox               a simulated Meta in this process; nothing else needed
  --token-file NAME=PATH  and --app-secret-file NAME=PATH
  WHATSAPP_TOKEN_<NAME>   and WHATSAPP_APP_SECRET_<NAME>, upper case,
                          - written as _
  the cluster             a WhatsAppPortfolio that is there, and the Secrets
                          that it names

Applying what is printed changes nothing at Meta:
  whatsapp-operator import --business ID --token-file acme=./token \\
    | kubectl apply -f -

Exit codes: 0 done, 1 error: also when something could not be read; all else is
printed.")]
pub struct ImportArgs {
    /// Id of the business portfolio.
    #[arg(long, value_name = "ID", value_parser = id, required_unless_present = "accounts")]
    pub business: Option<String>,
    /// Id of a WhatsApp Business Account; may be given again. None: every account in reach of the token. Alone, it also
    /// tells the portfolio: the one that owns it.
    #[arg(long = "account", value_name = "ID", value_parser = id)]
    pub accounts: Vec<String>,
    /// Name of the WhatsAppPortfolio. None: the one in --token-file, the one in the cluster, else business-ID.
    #[arg(long, value_name = "NAME")]
    pub portfolio: Option<String>,
    /// Imports a made-up portfolio from a simulated Meta in this process.
    #[arg(long, conflicts_with_all = ["token_files", "app_secret_files"])]
    pub sandbox: bool,
    #[command(flatten)]
    pub given: FileArgs,
    /// Base address of the Graph API; of no use with --sandbox.
    #[arg(long, env = "WHATSAPP_OPERATOR_GRAPH_URL", default_value = DEFAULT_URL, value_name = "URL")]
    pub graph_url: url::Url,
    /// Version of the Graph API.
    #[arg(long, env = "WHATSAPP_OPERATOR_GRAPH_VERSION", default_value = DEFAULT_VERSION, value_name = "VERSION")]
    pub graph_version: String,
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

fn id(text: &str) -> Result<String, String> {
    let is_id = !text.is_empty() && text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_id.then(|| text.to_owned()).ok_or_else(|| {
        "an id of Meta's is 1 to 32 digits; copy it from Business settings, Business info or WhatsApp accounts".to_owned()
    })
}
