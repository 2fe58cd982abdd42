//! Looks for secrets in everything that leaves the operator: as they are, encoded, or as any digest of them that
//! somebody could compute again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hasher};

use ring::{digest, hmac};

/// Bytes of a digest that are compared when every code there is gets tried: short enough to find digests that were
/// cut, long enough that nothing else looks like one.
const PREFIX: usize = 6;

/// What must not be found.
pub struct Canary {
    pub what: &'static str,
    pub value: String,
}

/// Where it was looked: a name for people, and the text.
pub type Place = (String, String);

/// Every leak, in words; none is what one hopes for. `salts` are public words that a digest may be mixed with.
pub fn find(places: &[Place], canaries: &[Canary], salts: &[String]) -> Vec<String> {
    let mut leaks = Vec::new();
    for (place, text) in places {
        let plain = canaries.iter().filter(|canary| is_plain(text, &canary.value));
        leaks.extend(plain.map(|canary| format!("the {} in {place}", canary.what)));
    }
    let words = words(places);
    let seen = Seen::new(words.keys().map(String::as_str));
    let tell = |what: &str, how: &str, word: &str| {
        let place = words.get(word).map_or("", String::as_str);
        format!("{how} of the {what} in {place}: {word}")
    };
    for canary in canaries {
        for (how, bytes) in all_digests(&canary.value, salts) {
            leaks.extend(seen.shows(&bytes).into_iter().map(|word| tell(canary.what, &how, word)));
        }
    }
    leaks.extend(
        any_code(&seen, salts)
            .into_iter()
            .map(|word| tell("six digits that could be a code", "a digest", &word)),
    );
    leaks
}

/// The value itself, in base64 or in hex. Six digits count only where they stand alone: a date has some too.
fn is_plain(text: &str, value: &str) -> bool {
    let is_short = value.len() < 10;
    let encoded = [to_base64(value.as_bytes()), to_hex(value.as_bytes())];
    let stands_alone = || {
        text.match_indices(value).any(|(at, _)| {
            let before = text[..at].chars().next_back();
            let after = text[at + value.len()..].chars().next();
            !before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '.')
                && !after.is_some_and(|c| c.is_ascii_alphanumeric())
        })
    };
    let hyphen = || value.len() == 6 && text.contains(&format!("{}-{}", &value[..3], &value[3..]));
    encoded.iter().any(|form| text.contains(form))
        || if is_short {
            stands_alone() || hyphen()
        } else {
            text.contains(value) || text.contains(&value[value.len() - 10..])
        }
}

/// Every word, with hyphens and colons as ends of a word, as part of one, and left out; and where it stands.
fn words(places: &[Place]) -> BTreeMap<String, String> {
    let mut words = BTreeMap::new();
    let mut put = |word: String, place: &str| {
        if word.len() >= 8 {
            words.entry(word).or_insert_with(|| place.to_owned());
        }
    };
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '_');
    for (place, text) in places {
        for word in text.split(|c| !is_base64(c)) {
            put(word.to_owned(), place);
        }
        for word in text.split(|c| !is_base64(c) && c != '-').filter(|word| word.contains('-')) {
            put(word.replace('-', ""), place);
            put(word.replace('-', "+").replace('_', "/"), place);
        }
        for word in text.split(|c: char| !c.is_ascii_hexdigit() && c != ':').filter(|word| word.contains(':'))
        {
            put(word.replace(':', ""), place);
        }
    }
    words
}

/// The words that could be a digest, by the ways in which one is written.
struct Seen<'a> {
    words: Vec<&'a str>,
    starts: HashSet<u64>,
    /// By their first eight characters, as they are and in lower case.
    by_start: HashMap<String, Vec<&'a str>>,
}

impl<'a> Seen<'a> {
    fn new(words: impl Iterator<Item = &'a str>) -> Self {
        let words: Vec<&str> = words.collect();
        let starts = words.iter().flat_map(|word| readings(word)).filter_map(|bytes| start(&bytes)).collect();
        let mut by_start: HashMap<String, Vec<&str>> = HashMap::new();
        for word in &words {
            let Some(start) = word.get(..8) else { continue };
            let lower = start.to_ascii_lowercase();
            if lower != start {
                by_start.entry(lower).or_default().push(word);
            }
            by_start.entry(start.to_owned()).or_default().push(word);
        }
        Self { words, starts, by_start }
    }

    /// The words that show this digest, or the beginning of it.
    fn shows(&self, digest: &[u8]) -> Vec<&'a str> {
        let hex = to_hex(digest);
        let base64 = to_base64(digest);
        let with = |start: &str| self.by_start.get(start).into_iter().flatten().copied();
        let is_hex = |word: &&str| {
            let lower = word.to_ascii_lowercase();
            lower.len() == 8 || lower.get(..10).is_some_and(|start| hex.starts_with(start))
        };
        let mut found: Vec<&str> = with(&hex[..8]).filter(is_hex).collect();
        found.extend(with(&base64[..8]));
        for number in numbers(digest).iter().filter(|number| number.len() >= 8) {
            found.extend(with(&number[..8]).filter(|word| word == number));
        }
        found
    }
}

/// A word as bytes: from hex, from base64, from a decimal number.
fn readings(word: &str) -> Vec<Vec<u8>> {
    let number = word.parse::<u64>().ok().filter(|_| word.len() >= 15);
    let decimal =
        number.into_iter().flat_map(|number| [number.to_be_bytes().to_vec(), number.to_le_bytes().to_vec()]);
    [from_hex(word), from_base64(word)].into_iter().flatten().chain(decimal).collect()
}

fn start(bytes: &[u8]) -> Option<u64> {
    let bytes = bytes.get(..PREFIX)?;
    Some(bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)))
}

/// A digest as the numbers that a program may print: 64 bits either way round, signed or not.
fn numbers(digest: &[u8]) -> Vec<String> {
    let Some(Ok(bytes)) = digest.get(..8).map(<[u8; 8]>::try_from) else { return Vec::new() };
    let numbers = [u64::from_be_bytes(bytes), u64::from_le_bytes(bytes)];
    numbers
        .iter()
        .flat_map(|number| [number.to_string(), number.cast_signed().unsigned_abs().to_string()])
        .collect()
}

/// Whether a word is the digest of any six digits. The space has only a million values, so whoever finds such a
/// digest has the value.
fn any_code(seen: &Seen, salts: &[String]) -> Option<String> {
    let mut rare = vec![false; 1 << 16];
    for bytes in seen.words.iter().flat_map(|word| readings(word)).filter(|bytes| bytes.len() >= PREFIX) {
        rare[usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))] = true;
    }
    let is_seen = |bytes: &[u8]| {
        rare[usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))]
            && start(bytes).is_some_and(|start| seen.starts.contains(&start))
    };
    let algorithms = [&digest::SHA1_FOR_LEGACY_USE_ONLY, &digest::SHA256, &digest::SHA512];
    let salt = salts.first().map_or("", String::as_str);
    let key = hmac::Key::new(hmac::HMAC_SHA256, salt.as_bytes());
    let tried = |value: u32| {
        let text = format!("{value:06}");
        let mixed = [text.clone(), format!("{salt}{text}")];
        let shows =
            algorithms.iter().any(|algorithm| is_seen(digest::digest(algorithm, text.as_bytes()).as_ref()))
                || is_seen(digest::digest(&digest::SHA256, mixed[1].as_bytes()).as_ref())
                || is_seen(hmac::sign(&key, text.as_bytes()).as_ref())
                || is_seen(&std_hash(text.as_bytes(), true));
        shows.then_some(text)
    };
    let found = std::thread::scope(|scope| {
        let halves =
            [0..500_000, 500_000..1_000_000].map(|mut half| scope.spawn(move || half.find_map(tried)));
        halves.into_iter().find_map(|half| half.join().unwrap())
    })?;
    // Which word it was, for people.
    let digests: Vec<u64> =
        all_digests(&found, &salts[..salts.len().min(1)]).iter().filter_map(|(_, d)| start(d)).collect();
    let is_it = |word: &&&str| readings(word).iter().any(|r| start(r).is_some_and(|s| digests.contains(&s)));
    Some(seen.words.iter().find(is_it).map_or(found, |word| (*word).to_owned()))
}

/// The digests of a value by itself, together with each salt in every usual order, and keyed with it.
fn all_digests(value: &str, salts: &[String]) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<(String, Vec<u8>)> =
        plain_digests(value.as_bytes()).into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
    for salt in salts {
        for mixed in [
            format!("{salt}{value}"),
            format!("{value}{salt}"),
            format!("{salt}:{value}"),
            format!("{value}:{salt}"),
            format!("{salt}/{value}"),
            format!("{salt}-{value}"),
        ] {
            let digests = plain_digests(mixed.as_bytes());
            all.extend(digests.into_iter().map(|(name, bytes)| (format!("{name} with {salt}"), bytes)));
        }
        for (key, text) in [(salt.as_str(), value), (value, salt.as_str())] {
            for (name, algorithm) in [
                ("HMAC-SHA1", hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
                ("HMAC-SHA256", hmac::HMAC_SHA256),
                ("HMAC-SHA512", hmac::HMAC_SHA512),
            ] {
                let tag = hmac::sign(&hmac::Key::new(algorithm, key.as_bytes()), text.as_bytes());
                all.push((format!("{name} with {salt}"), tag.as_ref().to_vec()));
            }
        }
    }
    all
}

fn plain_digests(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let ring = |algorithm| digest::digest(algorithm, bytes).as_ref().to_vec();
    vec![
        ("MD5", md5(bytes).to_vec()),
        ("SHA-1", ring(&digest::SHA1_FOR_LEGACY_USE_ONLY)),
        ("SHA-256", ring(&digest::SHA256)),
        ("SHA-512", ring(&digest::SHA512)),
        ("FNV-1a", fnv(bytes).to_be_bytes().to_vec()),
        ("std's hash of bytes", std_hash(bytes, false).to_vec()),
        ("std's hash of text", std_hash(bytes, true).to_vec()),
    ]
}

/// A text is hashed with one more byte at its end.
fn std_hash(bytes: &[u8], is_text: bool) -> [u8; 8] {
    let mut hasher = BuildHasherDefault::<DefaultHasher>::default().build_hasher();
    hasher.write(bytes);
    if is_text {
        hasher.write_u8(0xff);
    }
    hasher.finish().to_be_bytes()
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// MD5 as RFC 1321 has it: nothing of ours may use it, but somebody might.
fn md5(bytes: &[u8]) -> [u8; 16] {
    const TURNS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
    static SINES: std::sync::LazyLock<[u32; 64]> = std::sync::LazyLock::new(|| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "the standard's own table"
        )]
        let sine = |n: usize| ((n as f64 + 1.0).sin().abs() * 4_294_967_296.0) as u32;
        std::array::from_fn(sine)
    });
    let sines = &*SINES;
    let mut padded = bytes.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend((bytes.len() as u64 * 8).to_le_bytes());
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    for block in padded.chunks_exact(64) {
        let word = |n: usize| {
            u32::from_le_bytes([block[4 * n], block[4 * n + 1], block[4 * n + 2], block[4 * n + 3]])
        };
        let [mut a, mut b, mut c, mut d] = state;
        for n in 0..64 {
            let (mixed, from) = match n / 16 {
                0 => ((b & c) | (!b & d), n),
                1 => ((d & b) | (!d & c), (5 * n + 1) % 16),
                2 => (b ^ c ^ d, (3 * n + 5) % 16),
                _ => (c ^ (b | !d), (7 * n) % 16),
            };
            let sum = a.wrapping_add(mixed).wrapping_add(sines[n]).wrapping_add(word(from));
            (a, d, c) = (d, c, b);
            b = b.wrapping_add(sum.rotate_left(TURNS[n / 16][n % 4]));
        }
        for (all, one) in state.iter_mut().zip([a, b, c, d]) {
            *all = all.wrapping_add(one);
        }
    }
    let mut out = [0; 16];
    out.chunks_exact_mut(4).zip(state).for_each(|(out, word)| out.copy_from_slice(&word.to_le_bytes()));
    out
}

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Without padding.
fn to_base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits =
            three.iter().fold(0_u32, |all, byte| all << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for n in 0..=three.len() {
            text.push(char::from(ALPHABET[(bits >> (18 - 6 * n) & 63) as usize]));
        }
    }
    text
}

pub fn from_hex(word: &str) -> Option<Vec<u8>> {
    let pairs = word.as_bytes().chunks_exact(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

pub fn from_base64(word: &str) -> Option<Vec<u8>> {
    let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::new());
    for byte in word.bytes().filter(|b| *b != b'=') {
        let value = ALPHABET.iter().position(|a| *a == byte)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[test]
fn digests_are_what_the_standards_say() {
    assert_eq!(to_hex(&md5(b"")), "d41d8cd98f00b204e9800998ecf8427e");
    assert_eq!(to_hex(&md5(b"message digest")), "f96b697d7cb7938d525a2f31aaf161d0");
    let long = "1234567890".repeat(8);
    assert_eq!(to_hex(&md5(long.as_bytes())), "57edf4a22be3c955ac49da2e2107b67a");
    assert_eq!(fnv(b"foobar"), 0x8594_4171_f739_67e8);
    assert_eq!(to_base64(b"foob"), "Zm9vYg");
    assert_eq!(from_base64("Zm9vYg").as_deref(), Some(&b"foob"[..]));
}

#[test]
fn the_search_finds_what_leaks_in_whatever_form() {
    let salts = ["5f1c7a9e-0000-4000-8000-000000000001".to_owned(), "shop/support".to_owned()];
    let canaries = || {
        vec![
            Canary { what: "code", value: "123456".into() },
            Canary { what: "token", value: "EAAsandbox-0123456789abcdef".into() },
        ]
    };
    let sha256 = |text: &str| digest::digest(&digest::SHA256, text.as_bytes()).as_ref().to_vec();
    let hex = to_hex(&sha256("123456"));
    let token = to_hex(&sha256("EAAsandbox-0123456789abcdef"));
    let key = hmac::Key::new(hmac::HMAC_SHA256, salts[0].as_bytes());
    let mut std = BuildHasherDefault::<DefaultHasher>::default().build_hasher();
    std::hash::Hash::hash("123456", &mut std);
    let grouped: Vec<&str> = (0..8).map(|n| &hex[8 * n..8 * n + 8]).collect();
    let colons: Vec<&str> = (0..16).map(|n| &hex[2 * n..2 * n + 2]).collect();
    let leaks = [
        ("plain", "the code 123456 was typed".to_owned()),
        ("hyphen", "123-456".to_owned()),
        ("base64", to_base64(b"123456")),
        ("the token's end", "…456789abcdef".to_owned()),
        ("hex", hex.clone()),
        ("upper case", hex.to_ascii_uppercase()),
        ("eight digits", hex[..8].to_owned()),
        ("twelve digits", hex[..12].to_owned()),
        ("grouped", grouped.join("-")),
        ("colons", colons.join(":")),
        ("base64 of a digest", to_base64(&sha256("123456"))),
        ("MD5", to_hex(&md5(b"123456"))),
        ("std", std.finish().to_string()),
        ("a decimal digest", u64::from_be_bytes(sha256("123456")[..8].try_into().unwrap()).to_string()),
        ("salted with the uid", to_hex(&sha256(&format!("{}:123456", salts[0])))),
        ("salted with the name", to_hex(&sha256("123456shop/support"))[..16].to_owned()),
        ("keyed", to_hex(hmac::sign(&key, b"123456").as_ref())),
        ("of the token", token[..16].to_owned()),
    ];
    // Every way alone; the long search through all codes once, below.
    for (how, leak) in leaks {
        let places = [("a note".to_owned(), format!("{{\"note\": \"seen {leak}\"}}"))];
        let found = canaries().iter().any(|c| is_plain(&places[0].1, &c.value)) || {
            let words = words(&places);
            let seen = Seen::new(words.keys().map(String::as_str));
            let mut all = canaries().into_iter().flat_map(|c| all_digests(&c.value, &salts));
            all.any(|(_, bytes)| !seen.shows(&bytes).is_empty())
        };
        assert!(found, "{how}: {leak} is not found");
    }
    // None of this is a leak, except a digest of a code that the search was not given.
    let harmless =
        "2026-11-22T10:11:12.123456Z 300000000000001 5f1c7a9e-0000-4000-8000-000000000001 sha256 1234567";
    let other = to_hex(&sha256("915372"))[..12].to_owned();
    let places = [("a log".to_owned(), harmless.to_owned()), ("a note".to_owned(), format!("v={other}"))];
    let found = find(&places, &canaries(), &salts);
    assert!(found.len() == 1 && found[0].contains(&other), "{found:?}");
}
