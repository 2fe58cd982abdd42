//! What a term works with, for tests: over an API server that the test plays, with the time of a simulated Meta.

use std::{sync::Arc, time::Duration};

use kube::Client;
use tokio_util::task::TaskTracker;

use crate::{
    cluster::event::Events,
    controller::{
        channel::Context,
        claim::{Claims, Pauses},
        queue::Queue,
        signal::{Cluster, Signals},
    },
    engine::limits::Limits,
    meta::{client::GraphClient, port::Clock as _},
    run::{
        may_work::MayWork,
        pass::{Ids, Shell},
    },
    sandbox::Sandbox,
    twin::VirtualClock,
};

/// Work on channels and accounts, of which nothing is known.
pub fn context(client: Client, sandbox: Sandbox) -> Arc<Context<GraphClient, VirtualClock>> {
    let clock = Arc::new(VirtualClock(sandbox));
    let pause = Duration::from_secs(30);
    let shell = Shell {
        clock: clock.clone(),
        limits: Arc::new(Limits::default()),
        ids: Arc::new(Ids::new(7)),
        tasks: TaskTracker::new(),
        may_work: MayWork::always(),
        budget: Duration::from_secs(60),
        repeats: Arc::default(),
    };
    let events = Events::new(client.clone(), None, || (), &TaskTracker::new());
    Arc::new(Context {
        cluster: Cluster { client, events },
        shell,
        claims: Arc::new(Claims::new(Pauses { gone: pause, displaced: pause, kept: pause })),
        portfolios: Arc::default(),
        newcomers: Arc::default(),
        unwritten: Arc::default(),
        states: Arc::default(),
        accounts: Arc::default(),
        labels: None,
        own_namespace: None,
        signals: Signals::new((Queue::new(4), Queue::new(4)), 4, Arc::default(), clock.now()),
    })
}
