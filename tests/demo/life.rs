//! What happens to numbers that work: a picture, changes by others, a new name, an import, a deletion.

use std::path::PathBuf;

use ring::digest::{SHA256, digest};
use serde_json::json;
use whatsapp_operator::sandbox::{Number, What};

use super::{Demo, NAMESPACE, PATIENCE, Result, reason, stage, text};

const BOT: &str = "5511934567890";
const HOOK: &str = "https://bot.acme.example/wa";
const ABOUT: &str = "Respondemos das 9h às 18h";
const SALES: &str = "447700900123";
const NEW_NAME: &str = "Acme Sales UK";

impl Demo {
    pub async fn live(&self) -> Result<()> {
        self.has_picture().await?;
        self.puts_back().await?;
        self.renames().await?;
        self.imports().await?;
        self.takes_back().await
    }

    /// What the killed replica had begun was not begun again by the one that took over.
    pub fn was_done_once(&self) -> Result<()> {
        let codes = self.count(BOT, |what| matches!(what, What::CodeSent { .. }));
        let entered = self.count(BOT, |what| matches!(what, What::VerifyAttempt { .. }));
        let registered = self.count(BOT, |what| matches!(what, What::RegisterAttempt { .. }));
        let cost = format!("{codes} code, {entered} verification and {registered} registration");
        holds((codes, entered, registered) == (1, 1, 1), &format!("bot-br took {cost}"))?;
        self.told(&format!("bot-br: {cost} in all, by two replicas"));
        Ok(())
    }

    /// A ConfigMap with a picture, as a user makes it.
    pub async fn give_picture(&self) -> Result<()> {
        let file = self.file("logo.png", &stage::picture())?;
        let file = format!("--from-file=logo.png={}", file.display());
        self.kubectl(&["create", "configmap", "acme-logo", "--namespace", NAMESPACE, &file]).await?;
        Ok(())
    }

    async fn has_picture(&self) -> Result<()> {
        self.say("a profile picture comes from a ConfigMap");
        self.wait("condition=ProfileSynced", "its profile is at Meta", &["bot-br"]).await?;
        let sum = digest(&SHA256, &stage::picture());
        let sum: String = sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let is_it = |what: &What| matches!(what, What::PictureSet { sha256, .. } if *sha256 == sum);
        let (all, its) =
            (self.count(BOT, |what| matches!(what, What::PictureSet { .. })), self.count(BOT, is_it));
        holds(
            (all, its) == (1, 1),
            &format!("the picture was to be uploaded once; of {all} uploads {its} are it"),
        )?;
        self.told("bot-br: its picture was uploaded once");
        Ok(())
    }

    async fn puts_back(&self) -> Result<()> {
        self.say("somebody changes a text of a profile and a webhook at Meta; the operator notices, and puts both back");
        let written = |what: &What| matches!(what, What::ProfileWritten { .. } | What::Overridden { .. });
        let before = self.count(BOT, written);
        let mut profile = serde_json::to_value(self.number(BOT)?.profile).map_err(text)?;
        profile["about"] = json!("Fechado");
        self.sandbox.set_field(BOT, "profile", profile);
        self.sandbox.set_field(BOT, "webhook", json!({ "callback": "https://elsewhere.example/wa" }));
        self.until("the profile and the webhook of bot-br are put back", || async {
            let number = self.number(BOT)?;
            let is_back = number.profile.about.as_deref() == Some(ABOUT);
            Ok(is_back && number.webhook.callback.as_deref() == Some(HOOK))
        })
        .await?;
        let writes = self.count(BOT, written) - before;
        holds(writes == 2, &format!("each was to be written once, and there were {writes} writes"))?;
        self.told("bot-br: both are as declared again, with one write each");
        Ok(())
    }

    async fn renames(&self) -> Result<()> {
        self.say(
            "a registered number gets another name; it goes on working under the old one until Meta agrees",
        );
        let name = json!({ "spec": { "displayName": NEW_NAME } }).to_string();
        self.patch("sales-uk", &name).await?;
        self.wait(&reason("DisplayNameApproved", "NameInReview"), "its new name is in review", &["sales-uk"])
            .await?;
        let number = self.number(SALES)?;
        holds(number.verified_name != NEW_NAME, "the new name is live before its review")?;
        self.wait("condition=Ready", "Ready meanwhile", &["sales-uk"]).await?;
        self.control(&format!("numbers/{SALES}/name"), &json!({ "verdict": "approve" })).await?;
        self.wait(
            &reason("DisplayNameApproved", "NameNotLiveYet"),
            "its new name is approved",
            &["sales-uk"],
        )
        .await?;
        self.cli(&["retry", "sales-uk"], None).await?;
        self.wait("condition=DisplayNameApproved", "its new name is live", &["sales-uk"]).await?;
        let number = self.number(SALES)?;
        holds(number.verified_name == NEW_NAME, &format!("Meta shows the name {}", number.verified_name))?;
        let reviews = self.count(SALES, |what| matches!(what, What::NameSubmitted { .. }));
        let registrations = self.count(SALES, |what| matches!(what, What::RegisterAttempt { .. }));
        let cost = format!("it cost {reviews} reviews and {registrations} registrations");
        holds((reviews, registrations) == (1, 1), &cost)?;
        self.told("sales-uk: that cost one review and one registration");
        Ok(())
    }

    async fn imports(&self) -> Result<()> {
        self.say(
            "numbers that nobody declared are imported: printed as manifests, applied, and left as they are",
        );
        let [registered, coexisting] = stage::OLDCO;
        let before = (self.number(registered)?, self.number(coexisting)?);
        let token = self.file("oldco-token", stage::OLDCO_TOKEN.as_bytes())?.display().to_string();
        let (given, url) = (format!("oldco={token}"), format!("http://{}", self.meta));
        let args =
            ["import", "--business", stage::OLDCO_BUSINESS, "--token-file", &given, "--graph-url", &url];
        let printed = self.cli(&args, None).await?;
        holds(!printed.contains(stage::OLDCO_TOKEN), "import printed a token")?;
        self.told(printed.lines().next().unwrap_or_default().trim_start_matches("# "));
        let manifests = self.file("import.yaml", printed.as_bytes())?.display().to_string();
        let secret = format!("--from-file=token={token}");
        self.kubectl(&["create", "secret", "generic", "oldco-meta", "--namespace", NAMESPACE, &secret])
            .await?;
        self.kubectl(&["apply", "--namespace", NAMESPACE, "--filename", &manifests]).await?;
        let names = stage::OLDCO.map(|digits| format!("wa-{digits}"));
        self.wait("condition=Ready", "Ready", &names.each_ref().map(String::as_str)).await?;
        let is_write =
            |account: Option<&str>, method: &str| account == Some(stage::OLDCO_ACCOUNT) && method != "GET";
        let writes = self
            .sandbox
            .calls()
            .iter()
            .filter(|call| is_write(call.account.as_deref(), &call.method))
            .count();
        holds(writes == 0, &format!("the import wrote {writes} times at Meta"))?;
        holds(before == (self.number(registered)?, self.number(coexisting)?), "the import changed a number")?;
        self.told("nothing was written at Meta");
        Ok(())
    }

    async fn takes_back(&self) -> Result<()> {
        self.say("a channel with deletionPolicy Unroute is deleted");
        let number = self.number(BOT)?;
        holds(
            number.webhook.callback.as_deref() == Some(HOOK),
            "the number of bot-br has no override to take back",
        )?;
        self.patch("bot-br", &json!({ "spec": { "deletionPolicy": "Unroute" } }).to_string()).await?;
        // Before the finalizer is there, a deletion takes nothing back.
        let finalizer = "jsonpath={.metadata.finalizers[0]}=whatsapp-operator.dev/cleanup";
        self.wait(finalizer, "its deletion waits for the operator", &["bot-br"]).await?;
        let timeout = format!("--timeout={}s", PATIENCE.as_secs());
        self.kubectl(&["delete", "wac", "bot-br", "--namespace", NAMESPACE, &timeout]).await?;
        let number = self.number(BOT)?;
        holds(number.webhook.callback.is_none(), "the override of bot-br is still there")?;
        holds(number.platform_type == "CLOUD_API", "the number of bot-br is not registered any more")?;
        let removals = self.count(BOT, |what| matches!(what, What::Overridden { url: None, .. }));
        holds(removals == 1, &format!("the override was removed {removals} times"))?;
        self.told("bot-br: gone, and so is the webhook of its number; the number stays registered");
        Ok(())
    }

    /// Merges into a channel, as an edit would.
    async fn patch(&self, name: &str, change: &str) -> Result<()> {
        let args = ["patch", "wac", name, "--namespace", NAMESPACE, "--type", "merge", "--patch", change];
        self.kubectl(&args).await.map(drop)
    }

    fn file(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        let file = self.plane.dir().join(name);
        std::fs::write(&file, content).map_err(text)?;
        Ok(file)
    }

    /// The number as it truly is at Meta.
    fn number(&self, digits: &str) -> Result<Number> {
        self.sandbox.number(digits).ok_or_else(|| format!("Meta has no number {digits}"))
    }

    /// How many effects of a kind a number had.
    fn count(&self, of: &str, is: impl Fn(&What) -> bool) -> usize {
        self.sandbox.count(|what| {
            let (What::PictureSet { digits, .. }
            | What::ProfileWritten { digits }
            | What::Overridden { target: digits, .. }
            | What::NameSubmitted { digits, .. }
            | What::CodeSent { digits }
            | What::VerifyAttempt { digits, .. }
            | What::RegisterAttempt { digits, .. }) = what
            else {
                return false;
            };
            digits == of && is(what)
        })
    }
}

/// Ends the demo where what it shows is not so.
fn holds(is_so: bool, otherwise: &str) -> Result<()> {
    if is_so { Ok(()) } else { Err(otherwise.to_owned()) }
}
