//! The line behind a number, as the numbering plans tell it: advice that may warn but never refuse, and how a code travels.

use crate::engine::value::{
    desired::VerificationMethod,
    phone::{E164, split},
    spelling::with_nine,
    step::CodeMethod,
    word::words,
};

words! {
    /// What kind of line a number is, by the numbering plan; ported numbers and new ranges make it a guess.
    ///
    /// ```
    /// use whatsapp_operator::engine::line::Line;
    /// assert_eq!(Line::TollFree.as_str(), "toll-free");
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Line {
        Mobile = "mobile",
        Fixed = "fixed line",
        FixedOrMobile = "fixed line or mobile",
        TollFree = "toll-free",
        Premium = "premium rate",
        SharedCost = "shared cost",
        Personal = "personal number",
        Voip = "VoIP",
        Pager = "pager",
        Universal = "universal access",
        /// Not in a numbering plan that we know.
        Unknown = "unknown",
    }
}

/// What can be said of a number without asking anybody. It may warn, never refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    pub line: Line,
    /// What a person should know before a code is sent.
    pub warning: Option<String>,
}

/// Looks a number up in the numbering plans.
///
/// ```
/// use whatsapp_operator::engine::{line::{Line, advice}, phone::E164};
/// let number = E164::parse("+5511912345678").unwrap();
/// assert_eq!(advice(&number).line, Line::Mobile);
/// assert_eq!(advice(&number).warning, None);
/// ```
pub fn advice(number: &E164) -> Advice {
    let (mut line, mut region) = looked_up(number.as_str());
    if line == Line::Unknown {
        // In a spelling of Meta's, which no numbering plan has.
        (line, region) = looked_up(&format!("+{}", number.canonical().digits()));
    }
    let warning = embargoed(number, region.as_deref())
        .or_else(|| lacks_its_nine(number, line))
        .or_else(|| line_warning(line))
        .map(str::to_owned);
    Advice { line, warning }
}

fn looked_up(text: &str) -> (Line, Option<String>) {
    let parsed = phonenumber::parse(None, text).ok();
    let region = parsed.as_ref().and_then(|p| p.country().id()).map(|id| id.as_ref().to_owned());
    (parsed.as_ref().map_or(Line::Unknown, line), region)
}

fn line(number: &phonenumber::PhoneNumber) -> Line {
    use phonenumber::Type;
    match number.number_type(&phonenumber::metadata::DATABASE) {
        Type::Mobile => Line::Mobile,
        Type::FixedLine => Line::Fixed,
        Type::FixedLineOrMobile => Line::FixedOrMobile,
        Type::TollFree => Line::TollFree,
        Type::PremiumRate => Line::Premium,
        Type::SharedCost => Line::SharedCost,
        Type::PersonalNumber => Line::Personal,
        Type::Voip => Line::Voip,
        Type::Pager => Line::Pager,
        Type::Uan => Line::Universal,
        _ => Line::Unknown,
    }
}

/// In Brazil and Argentina a mobile that is written without its 9 has the digits of a fixed line.
fn lacks_its_nine(number: &E164, line: Line) -> Option<&'static str> {
    let mobile = with_nine(number.digits()).filter(|_| line == Line::Fixed)?;
    (looked_up(&format!("+{mobile}")).0 == Line::Mobile).then_some(
        "without its 9 this looks like a fixed line, which takes the code by a call; have somebody answer it, or set verification.method: Sms if it is a mobile line",
    )
}

/// Countries in which the platform cannot be used (Meta, page "Support").
fn embargoed(number: &E164, region: Option<&str>) -> Option<&'static str> {
    let code = split(number).0;
    let listed =
        matches!(code, "53" | "98" | "850" | "963") || matches!(region, Some("CU" | "IR" | "KP" | "SY"));
    listed.then_some("businesses in this number's country cannot use the platform")
}

/// Suitability for the code by line type (Meta, page "Business phone numbers").
fn line_warning(line: Line) -> Option<&'static str> {
    match line {
        Line::Mobile | Line::FixedOrMobile => None,
        Line::Fixed => {
            Some("a fixed line takes the code by a call: have somebody answer it; SMS is not recommended")
        }
        Line::TollFree | Line::Premium | Line::Voip | Line::Universal => Some(
            "such a line must take international calls and route them to a person; the code comes best by a call (verification.method: Voice)",
        ),
        Line::SharedCost | Line::Personal => {
            Some("codes often do not reach such a line, neither by SMS nor by a call")
        }
        Line::Pager => Some("a pager can take no code"),
        Line::Unknown => Some(
            "the number is in no numbering plan known here; make sure that country and area code are right",
        ),
    }
}

/// How the code travels. `Auto` sends a call to what is certainly a fixed line and an SMS to everything else, and
/// never alternates.
///
/// ```
/// use whatsapp_operator::engine::{desired::VerificationMethod, line, phone::E164, step::CodeMethod};
/// let landline = E164::parse("+493012345678").unwrap();
/// assert_eq!(line::method(VerificationMethod::Auto, &landline), CodeMethod::Voice);
/// assert_eq!(line::method(VerificationMethod::Sms, &landline), CodeMethod::Sms);
/// ```
pub fn method(wanted: VerificationMethod, number: &E164) -> CodeMethod {
    match wanted {
        VerificationMethod::Sms => CodeMethod::Sms,
        VerificationMethod::Voice => CodeMethod::Voice,
        VerificationMethod::Auto => advice(number).method(),
    }
}

impl Advice {
    /// What `Auto` means for such a line.
    fn method(&self) -> CodeMethod {
        if self.line == Line::Fixed { CodeMethod::Voice } else { CodeMethod::Sms }
    }

    /// What the line is, and how its code travels for that reason.
    ///
    /// ```
    /// use whatsapp_operator::engine::{desired::VerificationMethod, line::advice, phone::E164};
    /// let mobile = advice(&E164::parse("+5511912345678").unwrap());
    /// assert_eq!(mobile.reason(VerificationMethod::Auto), "mobile: verification.method Auto sends the code by SMS");
    /// assert_eq!(mobile.reason(VerificationMethod::Voice), "mobile: verification.method Voice sends the code by a call");
    /// ```
    pub fn reason(&self, wanted: VerificationMethod) -> String {
        let (name, method) = match wanted {
            VerificationMethod::Auto => ("Auto", self.method()),
            VerificationMethod::Sms => ("Sms", CodeMethod::Sms),
            VerificationMethod::Voice => ("Voice", CodeMethod::Voice),
        };
        let way = match method {
            CodeMethod::Sms => "SMS",
            CodeMethod::Voice => "a call",
        };
        let sends = format!("verification.method {name} sends the code by {way}");
        match &self.warning {
            Some(warning) => format!("{warning}; {sends}"),
            None => format!("{}: {sends}", self.line.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rstest::rstest;

    use super::*;

    fn number(text: &str) -> E164 {
        E164::parse(text).unwrap()
    }

    #[rstest]
    #[case("+5511912345678", Line::Mobile, CodeMethod::Sms)]
    #[case("+551132345678", Line::Fixed, CodeMethod::Voice)]
    #[case("+493012345678", Line::Fixed, CodeMethod::Voice)]
    #[case("+4915112345678", Line::Mobile, CodeMethod::Sms)]
    #[case::brazil_without_its_nine("+553187654321", Line::Mobile, CodeMethod::Sms)]
    #[case::mexico_with_its_old_one("+5215512345678", Line::FixedOrMobile, CodeMethod::Sms)]
    #[case::argentina("+5491123456789", Line::Mobile, CodeMethod::Sms)]
    #[case::argentina_without_its_nine("+541123456789", Line::Fixed, CodeMethod::Voice)]
    #[case("+12125550100", Line::FixedOrMobile, CodeMethod::Sms)]
    #[case("+18005550100", Line::TollFree, CodeMethod::Sms)]
    #[case("+99912345678", Line::Unknown, CodeMethod::Sms)]
    fn only_what_is_certainly_a_fixed_line_is_called(
        #[case] e164: &str,
        #[case] line: Line,
        #[case] how: CodeMethod,
    ) {
        assert_eq!(advice(&number(e164)).line, line);
        assert_eq!(method(VerificationMethod::Auto, &number(e164)), how);
    }

    #[rstest]
    #[case::brazil("+551132345678", true)]
    #[case::argentina("+541123456789", true)]
    #[case::germany("+493012345678", false)]
    fn a_fixed_line_may_be_a_mobile_that_lacks_its_nine(#[case] e164: &str, #[case] may: bool) {
        let reason = advice(&number(e164)).reason(VerificationMethod::Auto);
        assert_eq!(reason.contains("without its 9"), may, "{reason}");
        assert!(reason.ends_with("Auto sends the code by a call"), "{reason}");
    }

    #[test]
    fn an_unlikely_number_is_warned_of_and_not_refused() {
        assert!(advice(&number("+99912345678")).warning.is_some());
        assert!(advice(&number("+5351234567")).warning.unwrap().contains("country"));
    }
}
