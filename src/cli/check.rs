//! `lint`: prints what the offline check of manifests found.

use std::path::PathBuf;

use clap::Args;

use super::{
    exit::{Ending, Exit, Problem},
    finding::{Report, Severity},
    lint,
    render::{self, OutputArgs, Printed, Text, Tone, paint},
};

/// Checks manifests offline: schema, rules, YAML traps, names and numbers.
#[derive(Clone, Debug, Args)]
pub struct LintArgs {
    /// A file, a folder, or - for standard input; may be given again.
    #[arg(short, long = "filename", required = true, num_args = 1.., value_name = "PATH")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl Printed for Report {
    const KIND: &'static str = "Lint";
}

/// Checks.
///
/// # Errors
///
/// When the API server would refuse something.
pub fn check(args: &LintArgs) -> Ending {
    let report = lint::lint(&args.files);
    render::print(args.output.output, &report, text)?;
    if report.has_errors() { Ok(Exit::Error) } else { Ok(Exit::Done) }
}

/// Prints the findings about manifests that cannot be worked with.
pub fn refuse(report: &Report) -> Problem {
    render::complain(&findings(report, Severity::Error));
    Problem::new("the manifests have errors").next("correct them; whatsapp-operator lint shows warnings too")
}

fn text(report: &Report) -> Text {
    let mut text = findings(report, Severity::Note);
    let count = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
    text.line(format!(
        "{} checked, {}, {}",
        many(report.checked, "manifest"),
        many(count(Severity::Error), "error"),
        many(count(Severity::Warning), "warning")
    ));
    text
}

/// Those that weigh at least so much.
fn findings(report: &Report, least: Severity) -> Text {
    let mut text = Text::new();
    for finding in report.findings.iter().filter(|finding| finding.severity <= least) {
        let tone = match finding.severity {
            Severity::Error => Tone::Bad,
            Severity::Warning => Tone::Attention,
            Severity::Note => Tone::Faint,
        };
        let path = if finding.path.is_empty() { String::new() } else { format!("{}: ", finding.path) };
        let at = paint(Tone::Strong, format!("{}:{}:{}", finding.file, finding.line, finding.column));
        let weight = paint(tone, finding.severity.as_str());
        text.line(at + ": " + weight + ": " + path + &finding.message);
        text.indent(2, format!("next: {}", finding.remedy));
    }
    text
}

/// A count with its word.
pub fn many(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::source;

    #[test]
    fn the_report_sums_up() {
        let manifest = "apiVersion: whatsapp-operator.dev/v1alpha1\nkind: WhatsAppChannel\nmetadata: {name: a}\nspec:\n  \
                        portfolioRef: {name: acme}\n  phoneNumber: \"1064\"\n  displayName: Acme Suporte\n";
        let text = text(&lint::source(&source::parse("m.yaml", manifest)));
        assert_eq!(
            text.plain(),
            "m.yaml:6:16: error: spec.phoneNumber: phoneNumber must start with + and the country code\n  \
             next: write it as in \"+5511912345678\"\n1 manifest checked, 1 error, 0 warnings\n"
        );
    }
}
