//! Meta's pages on which a person acts.

use super::id::BusinessId;

const ROOT: &str = "https://business.facebook.com/latest";

fn of(path: &str, business: Option<&BusinessId>) -> String {
    match business {
        Some(id) => format!("{ROOT}/{path}?business_id={id}"),
        None => format!("{ROOT}/{path}"),
    }
}

/// WhatsApp Manager, the list of numbers.
pub fn numbers(business: Option<&BusinessId>) -> String {
    of("whatsapp_manager/phone_numbers", business)
}

/// The accounts of a portfolio.
pub fn accounts(business: Option<&BusinessId>) -> String {
    of("settings/whatsapp_account", business)
}

/// System users, their tokens and what they are assigned to.
pub fn system_users(business: Option<&BusinessId>) -> String {
    of("settings/system_users", business)
}

/// Name, address and site of a portfolio.
pub fn business_info(business: Option<&BusinessId>) -> String {
    of("settings/business_info", business)
}

/// Where a business is verified.
pub fn security_center(business: Option<&BusinessId>) -> String {
    of("settings/security_center", business)
}

/// Payment methods.
pub fn billing(business: Option<&BusinessId>) -> String {
    of("billing_hub/accounts", business)
}

/// Restrictions, bans and appeals.
pub fn support() -> String {
    "https://business.facebook.com/business-support-home".into()
}

/// Meta's apps, their secrets and their webhook fields.
pub fn apps() -> String {
    "https://developers.facebook.com/apps".into()
}

/// A page of Meta's, for a portfolio where it has one of its own.
pub(in crate::engine) type Page = fn(Option<&BusinessId>) -> String;
pub(in crate::engine) const NUMBERS: Page = numbers;
pub(in crate::engine) const ACCOUNTS: Page = accounts;
pub(in crate::engine) const SYSTEM_USERS: Page = system_users;
pub(in crate::engine) const SUPPORT: Page = |_| support();
pub(in crate::engine) const APPS: Page = |_| apps();
