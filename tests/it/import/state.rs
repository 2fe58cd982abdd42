//! The states of a number that the sandbox knows, and what becomes of each.

use jiff::Timestamp;
use serde_json::json;
use whatsapp_operator::sandbox::{Account, Number, Official, Override, Profile, Username};

use crate::rig::{ACCOUNT, APP, BUSINESS};

/// Another account of the same portfolio.
pub const OTHER: &str = "300000000000002";

/// Accounts of the same portfolio that are not as they should be.
const RESTRICTED: &str = "300000000000003";
const DISABLED: &str = "300000000000004";
const IN_REVIEW: &str = "300000000000005";
/// Our app has this one's messages sent to another address than its own.
const OVERRIDDEN: &str = "300000000000006";

/// Every account beside the first.
pub fn accounts() -> Vec<Account> {
    let account = |id: &str, status: &str, review: &str| Account {
        status: status.to_owned(),
        account_review_status: review.to_owned(),
        ..Account::new(id, BUSINESS, "Acme Other")
    };
    let mut overridden = account(OVERRIDDEN, "ACTIVE", "APPROVED");
    let callback = Some("https://bot.acme.example/account".to_owned());
    overridden.subscriptions.insert(APP.to_owned(), Override { callback });
    vec![
        account(OTHER, "ACTIVE", "APPROVED"),
        account(RESTRICTED, "RESTRICTED", "APPROVED"),
        account(DISABLED, "DISABLED", "APPROVED"),
        account(IN_REVIEW, "PENDING", "PENDING"),
        overridden,
    ]
}

/// What is printed for a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Becomes {
    Managed,
    Observed,
    /// A comment.
    Left,
}
use Becomes::{Left, Managed, Observed};

/// One state.
pub struct State {
    pub name: &'static str,
    /// As the manifest has it.
    pub phone: &'static str,
    make: fn(Number) -> Number,
    pub becomes: Becomes,
    /// Whether the channel is Ready once it is applied.
    pub is_ready: bool,
    /// A line of the comment above the channel.
    pub says: Option<&'static str>,
}

impl State {
    const fn says(self, line: &'static str) -> Self {
        Self { says: Some(line), ..self }
    }

    /// The number in this state. Its id follows from its digits.
    pub fn number(&self) -> Number {
        let digits = self.phone.trim_start_matches('+');
        let number = Number::new(&format!("9{digits}"), ACCOUNT, digits, "Acme Suporte");
        (self.make)(number)
    }
}

const fn state(
    name: &'static str,
    phone: &'static str,
    becomes: Becomes,
    is_ready: bool,
    make: fn(Number) -> Number,
) -> State {
    State { name, phone, make, becomes, is_ready, says: None }
}

fn live(number: Number) -> Number {
    number.registered("135790")
}

fn with_status(number: Number, word: &str) -> Number {
    Number { status: word.to_owned(), ..live(number) }
}

fn named(number: Number, word: &str) -> Number {
    Number { name_status: word.to_owned(), ..number }
}

fn renamed(number: Number, word: &str) -> Number {
    let (new_display_name, new_name_status) = (Some("Acme Brasil".to_owned()), Some(word.to_owned()));
    Number { new_display_name, new_name_status, ..live(number) }
}

fn called(number: Number, username: &str) -> Number {
    Number { username: Some(Username::approved(username)), ..number }
}

fn in_account(number: Number, account: &str) -> Number {
    Number { account: account.to_owned(), ..live(number) }
}

fn asked_to_be_official(number: Number, word: &str) -> Number {
    let (message, requested) = (None, Some(Timestamp::UNIX_EPOCH));
    Number { official: Official { status: word.to_owned(), message, requested }, ..live(number) }
}

fn showing(mut number: Number, field: &str, value: serde_json::Value) -> Number {
    number.raw.insert(field.to_owned(), value);
    number
}

/// Said of every number, as no list shows it.
const UNSEEN: &str = "Not read, so left as they are and not managed: its profile picture, and the region that stores its messages, if it has one.";

pub const STATES: &[State] = &[
    state("registered", "+5511912340001", Managed, true, live),
    state("a fixed line", "+551132340002", Managed, true, live),
    state("shown without its ninth digit", "+553187650003", Managed, true, live),
    state("Mexican, shown with its 1", "+5216120000004", Managed, true, live),
    state("official", "+5511912340005", Managed, true, |n| Number {
        is_official_business_account: true,
        ..live(n)
    }),
    state("in the app too", "+5511912340006", Managed, true, Number::coexisting),
    state("in the app too, with a profile", "+5511912340007", Managed, true, |n| Number {
        profile: Profile { about: Some("Open".to_owned()), ..Profile::default() },
        ..n.coexisting()
    }),
    state("with a profile", "+5511912340008", Managed, true, |n| Number {
        profile: Profile {
            about: Some("Open 9-17".to_owned()),
            address: Some("Rua A: \"1\"\nSão Paulo".to_owned()),
            description: Some("# We sell\u{202e} things".to_owned()),
            email: Some("a@acme.example".to_owned()),
            websites: vec!["https://acme.example/".to_owned(), "https://acme.example/shop".to_owned()],
            vertical: Some("PROF_SERVICES".to_owned()),
            pictures: 1,
        },
        ..live(n)
    }),
    state("with a profile that the schema refuses", "+5511912340009", Managed, true, |n| Number {
        profile: Profile {
            email: Some("no address".to_owned()),
            vertical: Some("NOVEL".to_owned()),
            ..Profile::default()
        },
        ..live(n)
    }),
    state("with a webhook of its own", "+5511912340010", Managed, true, |mut n| {
        n.webhook.callback = Some("https://bot.acme.example/wa".to_owned());
        live(n)
    })
    .says("Its own webhook stays as it is and is not managed: https://bot.acme.example/wa"),
    state("without a PIN", "+5511912340011", Managed, true, |n| Number { pin: None, ..live(n) }),
    state("its name in review", "+5511912340012", Managed, true, |n| named(live(n), "PENDING_REVIEW")),
    state("its name declined", "+5511912340013", Managed, true, |n| named(live(n), "DECLINED")),
    state("its name expired", "+5511912340014", Observed, true, |n| named(live(n), "EXPIRED")),
    state("its name used without review", "+5511912340015", Managed, true, |n| {
        named(live(n), "AVAILABLE_WITHOUT_REVIEW")
    }),
    state("its name in a new state", "+5511912340016", Managed, true, |n| named(live(n), "NOVEL")),
    state("a new name in review", "+5511912340017", Observed, true, |n| renamed(n, "PENDING_REVIEW")),
    state("a new name approved", "+5511912340018", Observed, true, |n| renamed(n, "APPROVED")),
    state("a new name declined", "+5511912340019", Managed, true, |n| renamed(n, "DECLINED")),
    state("flagged", "+5511912340020", Managed, true, |n| with_status(n, "FLAGGED")),
    state("restricted", "+5511912340021", Managed, true, |n| with_status(n, "RESTRICTED")),
    state("rate limited", "+5511912340022", Managed, true, |n| with_status(n, "RATE_LIMITED")),
    state("disconnected", "+5511912340023", Managed, false, |n| with_status(n, "DISCONNECTED")),
    state("in a new status", "+5511912340024", Managed, false, |n| with_status(n, "NOVEL")),
    state("banned", "+5511912340025", Observed, false, |n| with_status(n, "BANNED")),
    state("migrated", "+5511912340026", Left, false, |n| with_status(n, "MIGRATED")),
    state("deleted", "+5511912340027", Left, false, |n| with_status(n, "DELETED")),
    state("a test number", "+5511912340028", Managed, true, Number::sandbox),
    state("on premise", "+5511912340029", Observed, false, Number::on_premise),
    state("just added", "+5511912340030", Observed, false, |n| n),
    state("just added, its name in review", "+5511912340031", Observed, false, |n| {
        named(n, "PENDING_REVIEW")
    }),
    state("just added, its name declined", "+5511912340032", Observed, false, |n| named(n, "DECLINED")),
    state("verified", "+5511912340033", Observed, false, |n| n.verified(Timestamp::UNIX_EPOCH)),
    state("verified long ago", "+5511912340034", Observed, false, |n| Number {
        code_verification_status: "EXPIRED".to_owned(),
        ..n
    }),
    state("verified and with a PIN", "+5511912340035", Observed, false, |n| Number {
        pin: Some("135790".to_owned()),
        ..n.verified(Timestamp::UNIX_EPOCH)
    }),
    state("on a new platform", "+5511912340036", Observed, false, |n| {
        showing(live(n), "platform_type", json!("NOVEL"))
    }),
    state("its platform hidden", "+5511912340037", Observed, false, |n| {
        showing(live(n), "platform_type", json!(null))
    }),
    state("not known whether in the app", "+5511912340038", Managed, true, |n| {
        showing(live(n), "is_on_biz_app", json!(null))
    }),
    state("its name hidden", "+5511912340039", Left, false, |n| {
        showing(live(n), "verified_name", json!(null))
    }),
    state("its digits hidden", "+5511912340040", Left, false, |n| {
        showing(live(n), "display_phone_number", json!("+55 11 9****-0040"))
    }),
    state("in another account", "+5511912340041", Managed, true, |n| Number {
        account: OTHER.to_owned(),
        ..live(n)
    }),
    state("with a username", "+5511912340043", Managed, true, |n| called(live(n), "acme.suporte")),
    state("with a username that breaks a rule", "+5511912340044", Managed, true, |n| {
        called(live(n), "acme.com")
    }),
    state("in the app too, with a username", "+5511912340045", Managed, true, |n| {
        called(n.coexisting(), "acme.loja")
    })
    .says("Its username \"acme.loja\" stays as it is and is not managed"),
    state("with a reserved username", "+5511912340046", Managed, true, |n| Number {
        username: Some(Username { status: "reserved".to_owned(), ..Username::approved("acme.vendas") }),
        ..live(n)
    }),
    state("its request to be official open", "+5511912340047", Managed, true, |n| {
        asked_to_be_official(n, "PENDING")
    })
    .says("Its request for an official business account is open (PENDING), and is not managed"),
    state("its request to be official rejected", "+5511912340048", Managed, true, |n| {
        asked_to_be_official(n, "REJECTED")
    })
    .says("Its request for an official business account was rejected (REJECTED), and is not managed"),
    state("stored in a region", "+5511912340049", Managed, true, |n| Number {
        storage_region: Some("BR".to_owned()),
        ..live(n)
    })
    .says(UNSEEN),
    state("with a picture and no texts", "+5511912340050", Managed, true, |n| Number {
        profile: Profile { pictures: 1, ..Profile::default() },
        ..live(n)
    })
    .says(UNSEEN),
    state("in a restricted account", "+5511912340051", Managed, false, |n| in_account(n, RESTRICTED)),
    state("in a disabled account", "+5511912340052", Managed, false, |n| in_account(n, DISABLED)),
    state("in an account in review", "+5511912340053", Managed, false, |n| in_account(n, IN_REVIEW)),
    state("in an account with an override", "+5511912340054", Managed, true, |n| in_account(n, OVERRIDDEN))
        .says(
            "The webhook of its account stays as it is and is not managed: https://bot.acme.example/account",
        ),
    state("not registered, in a disabled account", "+5511912340055", Observed, false, |n| Number {
        account: DISABLED.to_owned(),
        ..n
    }),
    state("the same in two accounts", "+5511912340042", Managed, true, live),
    state("the same in two accounts, the other", "+5511912340042", Managed, true, |n| Number {
        id: "100000000000042".to_owned(),
        account: OTHER.to_owned(),
        ..n
    }),
];
