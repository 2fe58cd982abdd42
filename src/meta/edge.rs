//! Edges: the calls of the port, one row each.
//!
//! The row says everything about a call that is the same each time it is made. Names, order, addresses, methods,
//! budgets, counters and the reference come from it. A call without a row does not compile.

use crate::engine::step::StepKind;

/// What a call changes at Meta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: it is a read.
    Nothing,
    /// Something that an account's list of numbers may show.
    Listed,
    /// Something that no list shows.
    Unlisted,
}

/// Which allowance a call counts against (page "WhatsApp Business Management API rate limits").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Calls that resolve to no account: the app's limit.
    App,
    /// The short list that grows with the first registered number.
    List,
    /// Everything else of an account.
    Rest,
}

impl Lane {
    /// A word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::List => "list",
            Self::Rest => "rest",
        }
    }
}

/// What a call is counted as besides its allowance, since we keep a limit of our own on such calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    Nothing,
    /// Profiles, and what else is read of one number by itself.
    Profiles,
    Adds,
    /// Codes that were asked for.
    Codes,
    /// Codes that were entered.
    Verifications,
}

/// What a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The portfolio, or the credential that opens it.
    Portfolio,
    Account,
    Number,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
struct Row {
    name: &'static str,
    path: &'static str,
    effect: Effect,
    lane: Lane,
    tally: Tally,
}

macro_rules! edges {
    ($($edge:ident: $name:literal, $path:literal, $effect:ident, $lane:ident, $tally:ident;)+) => {
        /// A call of the port, as far as codes, budgets and counters tell them apart.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Edge { $($edge,)+ }

        impl Edge {
            /// How many there are.
            pub const COUNT: usize = [$($name,)+].len();
            /// Every edge, reads first.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$edge,)+];

            const fn row(self) -> Row {
                match self {
                    $(Self::$edge => Row {
                        name: $name,
                        path: $path,
                        effect: Effect::$effect,
                        lane: Lane::$lane,
                        tally: Tally::$tally,
                    },)+
                }
            }
        }
    };
}

edges! {
    // Edge: its name, its address behind the version, what it changes, its allowance, what else it is counted as.
    DebugToken: "debug_token", "/debug_token", Nothing, App, Nothing;
    Business: "business", "/{business}", Nothing, App, Nothing;
    OwnedAccounts: "owned_accounts", "/{business}/owned_whatsapp_business_accounts", Nothing, App, Nothing;
    ClientAccounts: "client_accounts", "/{business}/client_whatsapp_business_accounts", Nothing, App, Nothing;
    Account: "account", "/{account}", Nothing, List, Nothing;
    Numbers: "numbers", "/{account}/phone_numbers", Nothing, List, Nothing;
    SubscribedApps: "subscribed_apps", "/{account}/subscribed_apps", Nothing, List, Nothing;
    AppSubscriptions: "app_subscriptions", "/{app}/subscriptions", Nothing, App, Nothing;
    Profile: "profile", "/{number}/whatsapp_business_profile", Nothing, Rest, Profiles;
    UploadOffset: "upload_offset", "/{upload}", Nothing, App, Nothing;
    Username: "username", "/{number}/username", Nothing, Rest, Profiles;
    Official: "official", "/{number}/official_business_account", Nothing, Rest, Profiles;
    AddNumber: "add_number", "/{account}/phone_numbers", Listed, Rest, Adds;
    RequestCode: "request_code", "/{number}/request_code", Unlisted, Rest, Codes;
    VerifyCode: "verify_code", "/{number}/verify_code", Listed, Rest, Verifications;
    SubmitName: "submit_name", "/{number}", Listed, Rest, Nothing;
    SetPin: "set_pin", "/{number}", Unlisted, Rest, Nothing;
    Register: "register", "/{number}/register", Listed, Rest, Nothing;
    Subscribe: "subscribe", "/{account}/subscribed_apps", Unlisted, List, Nothing;
    SetAppWebhook: "set_app_webhook", "/{app}/subscriptions", Unlisted, App, Nothing;
    RouteWebhook: "route_webhook", "/{number}", Listed, Rest, Nothing;
    WriteProfile: "write_profile", "/{number}/whatsapp_business_profile", Listed, Rest, Nothing;
    StartUpload: "start_upload", "/{app}/uploads", Unlisted, App, Nothing;
    SendUpload: "send_upload", "/{upload}", Unlisted, App, Nothing;
    WritePicture: "write_picture", "/{number}/whatsapp_business_profile", Unlisted, Rest, Nothing;
    UnrouteWebhook: "unroute_webhook", "/{number}", Listed, Rest, Nothing;
    SetStorage: "set_storage", "/{number}/settings", Unlisted, Rest, Nothing;
    StartSync: "start_sync", "/{number}/smb_app_data", Unlisted, Rest, Nothing;
    Deregister: "deregister", "/{number}/deregister", Listed, Rest, Nothing;
    ClaimUsername: "claim_username", "/{number}/username", Unlisted, Rest, Nothing;
    RequestOfficial: "request_official", "/{number}/official_business_account", Unlisted, Rest, Nothing;
}

impl Edge {
    /// The call of a step, unless the step is done in the cluster.
    pub fn of_step(step: StepKind) -> Option<Self> {
        Some(match step {
            StepKind::AddNumber => Self::AddNumber,
            StepKind::RequestCode => Self::RequestCode,
            StepKind::VerifyCode => Self::VerifyCode,
            StepKind::SubmitName => Self::SubmitName,
            StepKind::SetPin => Self::SetPin,
            StepKind::Register => Self::Register,
            StepKind::SubscribeApp => Self::Subscribe,
            StepKind::RouteWebhook => Self::RouteWebhook,
            StepKind::WriteProfile => Self::WriteProfile,
            StepKind::WritePicture => Self::WritePicture,
            StepKind::UnrouteWebhook => Self::UnrouteWebhook,
            StepKind::SetStorage => Self::SetStorage,
            StepKind::StartSync => Self::StartSync,
            StepKind::Deregister => Self::Deregister,
            StepKind::ClaimUsername => Self::ClaimUsername,
            StepKind::RequestOfficial => Self::RequestOfficial,
            StepKind::CreatePin => return None,
        })
    }

    /// Its name in logs, counters and the reference.
    pub fn as_str(self) -> &'static str {
        self.row().name
    }

    /// Its address behind the version, with a place for the id of what it is about.
    pub fn path(self) -> &'static str {
        self.row().path
    }

    /// The parts of its address, with this id in the place for it.
    pub fn segments(self, id: &str) -> impl Iterator<Item = &str> {
        self.path().split('/').skip(1).map(move |part| if part.starts_with('{') { id } else { part })
    }

    /// Whether the call changes something at Meta, and so must never be repeated by itself.
    pub fn is_write(self) -> bool {
        self.row().effect != Effect::Nothing
    }

    /// Its method.
    pub fn method(self) -> &'static str {
        if self.is_write() { "POST" } else { "GET" }
    }

    /// Whether it is about an upload, where Meta wants another word before the token.
    pub fn is_of_upload(self) -> bool {
        matches!(self, Self::SendUpload | Self::UploadOffset)
    }

    /// Whether a list may show what the call changed.
    pub fn is_listed(self) -> bool {
        self.row().effect == Effect::Listed
    }

    /// Which allowance it counts against.
    pub fn lane(self) -> Lane {
        self.row().lane
    }

    /// What else it is counted as.
    pub fn tally(self) -> Tally {
        self.row().tally
    }

    /// What it is about.
    pub fn about(self) -> About {
        match self.path().split('/').nth(1) {
            Some("{account}") => About::Account,
            Some("{number}") => About::Number,
            _ => About::Portfolio,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_told_apart_and_addresses_have_one_place_for_an_id() {
        let names: HashSet<_> = Edge::ALL.into_iter().map(Edge::as_str).collect();
        assert_eq!(names.len(), Edge::COUNT);
        for edge in Edge::ALL {
            let parts: Vec<_> = edge.path().split('/').collect();
            assert_eq!(parts[0], "", "{edge:?}");
            let places: Vec<_> = parts.iter().filter(|part| part.contains('{')).collect();
            match places[..] {
                [] => assert_eq!(edge, Edge::DebugToken),
                [place] => {
                    let places = ["{business}", "{account}", "{number}", "{app}", "{upload}"];
                    assert!(places.contains(place), "{edge:?}: {place}");
                    assert_eq!(parts[1], *place, "{edge:?}");
                }
                _ => panic!("{edge:?} has more than one place for an id"),
            }
        }
        assert_eq!(Edge::Register.segments("1").collect::<Vec<_>>(), ["1", "register"]);
        assert_eq!(Edge::SetPin.segments("1").collect::<Vec<_>>(), ["1"]);
        assert_eq!(Edge::DebugToken.segments("1").collect::<Vec<_>>(), ["debug_token"]);
    }

    #[test]
    fn every_write_is_the_call_of_one_step_and_every_step_at_meta_has_a_call() {
        let calls: Vec<_> = StepKind::at_meta().map(|step| (step, Edge::of_step(step))).collect();
        for (step, edge) in &calls {
            assert!(edge.is_some_and(Edge::is_write), "{step:?} has no call that writes");
        }
        // The portfolio's own write is no step of a channel, and a picture is uploaded before its own write.
        let is_other =
            |edge: &Edge| matches!(edge, Edge::SetAppWebhook | Edge::StartUpload | Edge::SendUpload);
        for edge in Edge::ALL.into_iter().filter(|edge| edge.is_write() && !is_other(edge)) {
            let steps = calls.iter().filter(|(_, of)| *of == Some(edge)).count();
            assert_eq!(steps, 1, "{edge:?} is the call of so many steps");
        }
    }

    #[test]
    fn calls_about_no_account_count_against_the_app_and_all_others_against_their_account() {
        for edge in Edge::ALL {
            assert_eq!(edge.lane() == Lane::App, edge.about() == About::Portfolio, "{edge:?}");
        }
    }

    #[test]
    fn the_port_names_the_address_of_every_call() {
        let port = include_str!("port.rs");
        for edge in Edge::ALL {
            let call = format!("/// `{} {}`", edge.method(), edge.path());
            assert!(port.contains(&call), "{edge:?}: no call in src/meta/port.rs is documented as {call}");
        }
    }
}
