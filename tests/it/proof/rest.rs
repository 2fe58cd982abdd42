//! Soon.
use super::world::*;
#[tokio::test]
async fn timing() {
    for _ in 0..3 {
    let t = std::time::Instant::now();
    let mut world = World::new().await;
    println!("world {:?}", t.elapsed());
    world.cluster.apply(channel());
    world.run_until_ready(HOUR).await;
    println!("ready {:?} {} passes {} calls", t.elapsed(), world.passes, world.sandbox.calls().len());
    world.run_for(MINUTE * 25).await;
    println!("rest {:?} {} passes {} calls", t.elapsed(), world.passes, world.sandbox.calls().len());
    }
}
