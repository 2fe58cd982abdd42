//! The full way of a number, and the ways around it.

use super::world::*;

#[tokio::test]
async fn a_number_comes_up_by_one_consent_and_one_code() {
    let mut world = World::new().await;
    world.cluster.apply(channel());
    let is_ready = world.run_until_ready(HOUR).await;
    assert!(is_ready);
    world.check_nothing_twice();
}
