//! The name of an object as kubectl takes it: a channel by its name, or kind and name with a slash between.

use super::exit::Problem;

/// What is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    Channel(String),
    Portfolio(String),
}

impl Named {
    /// Reads `support`, `channel/support` or `portfolio/acme`; kubectl's names of the kinds do as well.
    ///
    /// # Errors
    ///
    /// When the kind is none of ours.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let Some((kind, name)) = text.split_once('/') else { return Ok(Self::Channel(text.to_owned())) };
        match kind.to_ascii_lowercase().as_str() {
            "channel" | "wac" | "whatsappchannel" | "whatsappchannels" => Ok(Self::Channel(name.to_owned())),
            "portfolio" | "wap" | "whatsappportfolio" | "whatsappportfolios" => {
                Ok(Self::Portfolio(name.to_owned()))
            }
            _ => Err(Problem::new(format!("{kind} is no kind of ours"))
                .next("name a channel, as in support, or a portfolio, as in portfolio/acme")),
        }
    }

    /// The kind in the API, and the name.
    pub fn object(&self) -> (&'static str, &str) {
        match self {
            Self::Channel(name) => ("WhatsAppChannel", name),
            Self::Portfolio(name) => ("WhatsAppPortfolio", name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_named_as_for_kubectl() {
        for (text, kind) in [
            ("support", "WhatsAppChannel"),
            ("wac/support", "WhatsAppChannel"),
            ("portfolio/support", "WhatsAppPortfolio"),
            ("WhatsAppPortfolio/support", "WhatsAppPortfolio"),
        ] {
            assert_eq!(Named::parse(text).map(|named| named.object().0), Ok(kind), "{text}");
            assert_eq!(Named::parse(text).map(|named| named.object().1.to_owned()), Ok("support".to_owned()));
        }
        assert!(Named::parse("pod/support").is_err());
    }
}
