//! The ports through which a pass keeps its status, and what comes late its memory, held by a cluster: the status of one
//! channel.

use std::sync::Arc;

use kube::{Client, ResourceExt};

use crate::{
    api::{
        lower,
        v1alpha1::{WhatsAppChannel, WhatsAppChannelStatus},
    },
    cluster::{
        Failed, bounded,
        read::{Objects, Stored, Wanted},
        status,
    },
    engine::memory::Memory,
    run::{
        late::Memories,
        pass::{Live, ReadError, Record, Records, WriteError},
        unwritten::Owed,
    },
};

/// A status, and the version of the object that it stands in.
#[derive(Clone, Debug)]
pub struct Standing {
    pub resource_version: String,
    pub status: Option<Arc<WhatsAppChannelStatus>>,
}

impl Standing {
    /// As an object shows it.
    pub fn of(channel: &WhatsAppChannel) -> Self {
        Self {
            resource_version: channel.resource_version().unwrap_or_default(),
            status: channel.status.clone().map(Arc::new),
        }
    }
}

/// Everything that a pass may know of a channel as it stands.
pub fn live(channel: &WhatsAppChannel) -> Live<Standing> {
    Live {
        version: Standing::of(channel),
        uid: channel.uid().unwrap_or_default(),
        memory: lower::memory(channel),
        before: lower::before(channel),
    }
}

/// The status of one channel.
pub struct ChannelRecords {
    objects: Objects<WhatsAppChannel>,
    name: String,
    uid: String,
}

impl ChannelRecords {
    /// Of the object with this uid and no other.
    pub fn new(client: &Client, namespace: &str, name: &str, uid: &str) -> Self {
        Self { objects: Objects::new(client, Some(namespace)), name: name.to_owned(), uid: uid.to_owned() }
    }

    /// Reads the object past every cache; one that cannot be used is told apart.
    pub async fn object(&self) -> Result<Stored<WhatsAppChannel>, Failed> {
        bounded(self.objects.get(&self.name, Wanted::Live)).await
    }

    /// Writes a whole status onto exactly this version.
    pub async fn apply(&self, next: &WhatsAppChannelStatus, onto: &str) -> Result<Standing, WriteError> {
        match status::apply(&self.objects, &self.name, &self.uid, onto, next).await {
            Ok(written) => Ok(Standing::of(&written)),
            Err(Failed::Conflict(_)) => Err(WriteError::Conflict),
            Err(Failed::Gone(_)) => Err(WriteError::Gone),
            Err(Failed::NoAnswer(why)) => Err(WriteError::Timeout(why)),
            Err(error @ (Failed::Forbidden(_) | Failed::Refused(_) | Failed::NotServed(_))) => {
                Err(WriteError::Other(error.to_string()))
            }
        }
    }
}

impl Records for ChannelRecords {
    type Version = Standing;

    fn name(version: &Standing) -> String {
        version.resource_version.clone()
    }

    fn shows(&self, version: &Standing, record: &Record) -> bool {
        let standing = version.status.as_deref();
        standing == Some(&lower::status(&record.assessment, &record.memory, standing))
    }

    async fn write(&self, record: &Record, expected: &Standing) -> Result<Standing, WriteError> {
        let next = lower::status(&record.assessment, &record.memory, expected.status.as_deref());
        self.apply(&next, &expected.resource_version).await
    }

    async fn read_live(&self) -> Result<Live<Standing>, ReadError> {
        match self.object().await {
            Ok(Stored(Ok(channel))) => Ok(live(&channel)),
            Ok(Stored(Err(unusable))) => Err(ReadError::Failed(unusable.why.to_string())),
            Err(Failed::Gone(_)) => Err(ReadError::Gone),
            Err(error) => Err(ReadError::Failed(error.to_string())),
        }
    }
}

/// The memories of all channels.
pub struct ChannelMemories(pub Client);

impl ChannelMemories {
    fn records(&self, of: &Owed) -> ChannelRecords {
        ChannelRecords::new(&self.0, &of.namespace, &of.name, &of.uid)
    }
}

impl Memories for ChannelMemories {
    type Version = Standing;

    async fn read(&self, of: &Owed) -> Result<Live<Standing>, ReadError> {
        self.records(of).read_live().await
    }

    async fn write(&self, of: &Owed, memory: &Memory, expected: &Standing) -> Result<(), WriteError> {
        let standing = expected.status.as_deref().cloned().unwrap_or_default();
        let next = lower::remembering(memory, &standing);
        self.records(of).apply(&next, &expected.resource_version).await.map(drop)
    }
}
