//! What stands in for the API server: the status of channels with its versions, and Secrets.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use secrecy::SecretString;

use crate::{
    api::{lower, v1alpha1::WhatsAppChannelStatus},
    engine::{
        assess::first,
        condition::{Condition, Truth},
        condition_type::ConditionType,
        desired::{Desired, PictureSource, SecretKey},
        limits::Limits,
        memory::{Ledger, Memory},
        reason::Reason,
        secret::SecretVersion,
        spelling::Canonical,
        status::Before,
    },
    meta::port::Clock,
    run::{
        attempts::{Attempts, AttemptsRead, NotKept},
        pass::{Live, ReadError, Record, Records, WriteError},
        picture::{PictureBytes, png},
        secret::{SecretRead, Secrets},
    },
};

use super::VirtualClock;

/// The PIN that is created where there is none.
const PIN: &str = "482913";
/// Pixels of a side of a picture.
const SIDE: u32 = 640;

/// What status says, read back as the operator reads it.
#[derive(Clone, Debug)]
pub struct Status {
    pub memory: Memory,
    pub before: Before,
}

impl Status {
    fn read(stored: &WhatsAppChannelStatus) -> Self {
        Self { memory: lower::memory_of(stored), before: lower::before_of(stored) }
    }

    pub fn condition(&self, kind: ConditionType) -> Option<&Condition> {
        self.before.conditions.get(kind)
    }

    pub fn is_ready(&self) -> bool {
        self.before.conditions.is(ConditionType::Ready, Truth::True)
    }

    pub fn ready_reason(&self) -> Option<Reason> {
        self.condition(ConditionType::Ready).map(|ready| ready.reason)
    }
}

/// One version of an object, and the status in it.
#[derive(Clone, Debug)]
pub struct Standing {
    version: u64,
    status: Arc<WhatsAppChannelStatus>,
}

impl Standing {
    /// The status of this version.
    pub fn status(&self) -> &Arc<WhatsAppChannelStatus> {
        &self.status
    }

    /// What it is known by.
    pub fn name(&self) -> String {
        self.version.to_string()
    }

    /// Whether nothing was written between the two.
    pub fn is(&self, other: &Self) -> bool {
        self.version == other.version
    }
}

struct Stored {
    desired: Arc<Desired>,
    /// Every version there ever was before the last.
    past: Vec<Standing>,
    last: Standing,
}

impl Stored {
    fn put(&mut self, version: u64, status: Arc<WhatsAppChannelStatus>) -> Standing {
        let standing = Standing { version, status };
        self.past.push(std::mem::replace(&mut self.last, standing.clone()));
        standing
    }
}

/// What a read of a Secret gives.
enum Secret {
    Readable { version: SecretVersion, data: BTreeMap<String, String>, is_verify_token: bool },
    Forbidden,
    Failing(String),
}

/// Objects with versions, and Secrets.
pub struct Cluster {
    clock: VirtualClock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    revision: u64,
    channels: BTreeMap<String, Stored>,
    secrets: BTreeMap<String, Secret>,
    /// What is where pictures come from; without an entry, a picture that Meta takes.
    pictures: BTreeMap<PictureSource, PictureBytes>,
    /// As they stand beside the portfolio, by the digits of the number, and with the operator, after those of the business.
    attempts: BTreeMap<String, String>,
}

impl State {
    fn bump(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }
}

/// As the API server keeps it: JSON.
fn kept(status: &WhatsAppChannelStatus) -> Result<WhatsAppChannelStatus, serde_json::Error> {
    serde_json::from_value(serde_json::to_value(status)?)
}

impl Cluster {
    /// An empty one.
    pub fn new(clock: VirtualClock) -> Self {
        Self { clock, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `kubectl apply`: a new object, or a new spec for one that is there.
    pub fn apply(&self, desired: Desired) {
        let mut state = self.state();
        let version = state.bump();
        if let Some(stored) = state.channels.get_mut(&desired.name) {
            let status = stored.last.status.clone();
            stored.put(version, status);
            stored.desired = Arc::new(desired);
        } else {
            let now = self.clock.now();
            let status = Arc::new(lower::status(&first(&desired, now), &Memory::default(), None));
            let last = Standing { version, status };
            let name = desired.name.clone();
            state.channels.insert(name, Stored { desired: Arc::new(desired), past: Vec::new(), last });
        }
    }

    /// `kubectl delete`.
    pub fn delete(&self, name: &str) {
        self.state().channels.remove(name);
    }

    /// What is kept of a number beside the portfolio.
    pub fn attempts(&self, number: &Canonical) -> Option<String> {
        self.state().attempts.get(number.digits()).cloned()
    }

    /// The namespace of portfolio and channel is deleted: no attempts stand beside the portfolio any more.
    pub fn lose_attempts(&self, number: &Canonical) {
        self.state().attempts.remove(number.digits());
    }

    /// Puts a text in its place.
    pub fn put_attempts(&self, number: &Canonical, text: &str) {
        self.state().attempts.insert(number.digits().to_owned(), text.to_owned());
    }

    /// Puts a status in place of the one that stands there.
    pub fn overwrite(&self, name: &str, status: WhatsAppChannelStatus) {
        let mut state = self.state();
        let version = state.bump();
        if let Some(stored) = state.channels.get_mut(name) {
            stored.put(version, Arc::new(status));
        }
    }

    /// The names of all channels.
    pub fn names(&self) -> Vec<String> {
        self.state().channels.keys().cloned().collect()
    }

    /// What a channel asks for; there has to be one.
    pub fn desired(&self, name: &str) -> Arc<Desired> {
        self.state().channels[name].desired.clone()
    }

    /// Status as it stands; there has to be the channel.
    pub fn raw(&self, name: &str) -> Arc<WhatsAppChannelStatus> {
        self.state().channels[name].last.status.clone()
    }

    /// The live object, or one so many versions older, as a cache may have it.
    pub fn read(&self, name: &str, back: usize) -> Option<Live<Standing>> {
        let state = self.state();
        let stored = state.channels.get(name)?;
        let version = match back.checked_sub(1) {
            None => &stored.last,
            Some(past) => stored.past.iter().rev().nth(past).or(stored.past.first()).unwrap_or(&stored.last),
        };
        let Status { memory, before } = Status::read(&version.status);
        Some(Live { version: version.clone(), uid: stored.desired.uid.clone(), memory, before })
    }

    /// Status as the operator reads it; there has to be the channel.
    pub fn status(&self, name: &str) -> Status {
        Status::read(&self.raw(name))
    }

    /// Writes a record onto exactly the expected version.
    ///
    /// # Errors
    ///
    /// When another version stands there, or the object is gone.
    pub fn write(
        &self,
        name: &str,
        uid: &str,
        record: &Record,
        expected: &Standing,
    ) -> Result<Standing, WriteError> {
        let next = lower::status(&record.assessment, &record.memory, Some(&expected.status));
        let next = kept(&next).map_err(|error| WriteError::Other(error.to_string()))?;
        let mut state = self.state();
        let version = state.bump();
        let stored = state.channels.get_mut(name).filter(|s| s.desired.uid == uid).ok_or(WriteError::Gone)?;
        if !stored.last.is(expected) {
            return Err(WriteError::Conflict);
        }
        if next == *stored.last.status {
            return Ok(stored.last.clone());
        }
        Ok(stored.put(version, Arc::new(next)))
    }

    /// Creates a Secret or gives it another value: a new version either way.
    pub fn put_secret(&self, key: &SecretKey, value: &str, is_verify_token: bool) {
        let mut state = self.state();
        let revision = state.bump();
        let found = state.secrets.remove(&key.name);
        let (uid, mut data, is_verify_token) = match found {
            Some(Secret::Readable { version, data, is_verify_token: had }) => {
                (version.uid, data, had || is_verify_token)
            }
            _ => (format!("secret-{revision}"), BTreeMap::new(), is_verify_token),
        };
        data.insert(key.key.clone(), value.to_owned());
        let version = SecretVersion { uid, resource_version: revision.to_string() };
        state.secrets.insert(key.name.clone(), Secret::Readable { version, data, is_verify_token });
    }

    /// A Secret as somebody found it, with the version that was read; without a value its key is not there.
    pub fn found_secret(
        &self,
        key: &SecretKey,
        version: SecretVersion,
        value: Option<&str>,
        is_verify_token: bool,
    ) {
        let mut state = self.state();
        let mut data = match state.secrets.remove(&key.name) {
            Some(Secret::Readable { data, .. }) => data,
            _ => BTreeMap::new(),
        };
        data.extend(value.map(|value| (key.key.clone(), value.to_owned())));
        state.secrets.insert(key.name.clone(), Secret::Readable { version, data, is_verify_token });
    }

    /// A Secret that may not be read.
    pub fn forbid_secret(&self, key: &SecretKey) {
        self.state().secrets.insert(key.name.clone(), Secret::Forbidden);
    }

    /// A Secret that cannot be read, and why.
    pub fn fail_secret(&self, key: &SecretKey, why: &str) {
        self.state().secrets.insert(key.name.clone(), Secret::Failing(why.to_owned()));
    }

    /// Gives a Secret that could not be read a value, and lets it be read.
    pub fn allow_secret(&self, key: &SecretKey, value: &str, is_verify_token: bool) {
        let is_held =
            matches!(self.state().secrets.get(&key.name), Some(Secret::Forbidden | Secret::Failing(_)));
        if is_held {
            self.put_secret(key, value, is_verify_token);
        }
    }

    /// One read.
    pub fn read_secret(&self, key: &SecretKey) -> SecretRead {
        match self.state().secrets.get(&key.name) {
            None => SecretRead::Missing,
            Some(Secret::Forbidden) => SecretRead::Forbidden(String::new()),
            Some(Secret::Failing(why)) => SecretRead::Failed(why.clone()),
            Some(Secret::Readable { version, data, is_verify_token }) => SecretRead::Found {
                version: version.clone(),
                value: data.get(&key.key).map(|value| SecretString::from(value.clone())),
                is_verify_token: *is_verify_token,
            },
        }
    }

    /// Puts bytes where a picture comes from.
    pub fn put_picture(&self, source: &PictureSource, there: PictureBytes) {
        self.state().pictures.insert(source.clone(), there);
    }

    /// One read.
    pub fn read_picture(&self, source: &PictureSource) -> PictureBytes {
        self.state()
            .pictures
            .get(source)
            .cloned()
            .unwrap_or_else(|| PictureBytes::Found(png(SIDE, SIDE).into()))
    }

    /// The version of a Secret that can be read.
    pub fn secret_version(&self, name: &str) -> Option<SecretVersion> {
        match self.state().secrets.get(name)? {
            Secret::Readable { version, .. } => Some(version.clone()),
            Secret::Forbidden | Secret::Failing(_) => None,
        }
    }

    /// Creates a PIN where there is no Secret; says whether it did.
    pub fn create_pin(&self, key: &SecretKey) -> bool {
        let is_new = !self.state().secrets.contains_key(&key.name);
        if is_new {
            self.put_secret(key, PIN, false);
        }
        is_new
    }
}

/// The attempts of one number, in one of the two places.
pub struct Folder {
    cluster: Arc<Cluster>,
    name: String,
}

impl Folder {
    /// Beside the portfolio.
    pub fn new(cluster: Arc<Cluster>, number: &Canonical) -> Self {
        Self { cluster, name: number.digits().to_owned() }
    }

    /// In the operator's own namespace, of this business portfolio.
    pub fn of_business(cluster: Arc<Cluster>, business: &str, number: &Canonical) -> Self {
        Self { cluster, name: format!("{business}-{}", number.digits()) }
    }

    fn standing(&self) -> Option<String> {
        self.cluster.state().attempts.get(&self.name).cloned()
    }
}

impl Attempts for Folder {
    async fn read(&self) -> AttemptsRead {
        match self.standing().as_deref().map(lower::attempts) {
            None => AttemptsRead::Absent,
            Some(Ok(kept)) => AttemptsRead::Kept(Box::new(kept)),
            Some(Err(why)) => AttemptsRead::Unusable(why),
        }
    }

    async fn keep(&self, own: &Ledger, limits: &Limits, now: Timestamp) -> Result<Ledger, NotKept> {
        let standing = self.standing();
        let kept = standing.as_deref().and_then(|text| lower::attempts(text).ok()).unwrap_or_default();
        let next = own.kept(&kept, limits, now);
        let text = lower::attempts_text(&next, standing.as_deref());
        self.cluster.state().attempts.insert(self.name.clone(), text);
        Ok(next)
    }

    fn place(&self) -> Option<String> {
        Some(self.name.clone())
    }
}

/// The status of one channel.
pub struct Shelf {
    pub cluster: Arc<Cluster>,
    pub name: String,
    pub uid: String,
}

impl Records for Shelf {
    type Version = Standing;

    fn name(version: &Standing) -> String {
        version.name()
    }

    fn shows(&self, version: &Standing, record: &Record) -> bool {
        *version.status == lower::status(&record.assessment, &record.memory, Some(&version.status))
    }

    async fn write(&self, record: &Record, expected: &Standing) -> Result<Standing, WriteError> {
        self.cluster.write(&self.name, &self.uid, record, expected)
    }

    async fn read_live(&self) -> Result<Live<Standing>, ReadError> {
        self.cluster.read(&self.name, 0).ok_or(ReadError::Gone)
    }
}

/// The Secrets of a namespace.
pub struct Drawer(pub Arc<Cluster>);

impl Secrets for Drawer {
    async fn read(&self, key: &SecretKey) -> SecretRead {
        self.0.read_secret(key)
    }

    async fn picture(&self, source: &PictureSource) -> PictureBytes {
        self.0.read_picture(source)
    }

    async fn create_pin(&self, key: &SecretKey) -> Result<(), String> {
        self.0.create_pin(key);
        Ok(())
    }
}
