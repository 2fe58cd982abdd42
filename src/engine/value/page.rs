//! Meta's pages on which a person acts.

use crate::engine::value::id::BusinessId;

/// One of Meta's pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Page {
    /// WhatsApp Manager, the list of numbers.
    Numbers,
    /// The accounts of a portfolio.
    Accounts,
    /// System users, their tokens and what they are assigned to.
    SystemUsers,
    /// Name, address and site of a portfolio.
    BusinessInfo,
    /// Where a business is verified.
    SecurityCenter,
    /// Payment methods.
    Billing,
    /// Restrictions, bans and appeals.
    Support,
    /// Meta's apps, their secrets and their webhook fields.
    Apps,
}

impl Page {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Numbers => "WhatsApp Manager, Phone numbers",
            Self::Accounts => "Business settings, WhatsApp accounts",
            Self::SystemUsers => "Business settings, System users",
            Self::BusinessInfo => "Business settings, Business info",
            Self::SecurityCenter => "Business settings, Security Centre",
            Self::Billing => "Billing and payments",
            Self::Support => "Business Support Home",
            Self::Apps => "App Dashboard",
        }
    }

    /// Its address, inside a portfolio where it has one of its own there.
    ///
    /// ```
    /// use whatsapp_operator::engine::{id::BusinessId, page::Page};
    /// let business = BusinessId::from("500000000000001");
    /// assert!(Page::Numbers.url(Some(&business)).ends_with("?business_id=500000000000001"));
    /// assert_eq!(Page::Support.url(Some(&business)), Page::Support.url(None));
    /// ```
    pub fn url(self, business: Option<&BusinessId>) -> String {
        let path = match self {
            Self::Numbers => "whatsapp_manager/phone_numbers",
            Self::Accounts => "settings/whatsapp_account",
            Self::SystemUsers => "settings/system_users",
            Self::BusinessInfo => "settings/business_info",
            Self::SecurityCenter => "settings/security_center",
            Self::Billing => "billing_hub/accounts",
            Self::Support => return "https://business.facebook.com/business-support-home".into(),
            Self::Apps => return "https://developers.facebook.com/apps".into(),
        };
        let of = business.map(|id| format!("?business_id={id}")).unwrap_or_default();
        format!("https://business.facebook.com/latest/{path}{of}")
    }
}
