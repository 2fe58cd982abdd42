//! What the API server keeps of a status: of an object that nobody has seen.

use std::time::Duration;

use serde_json::json;

use crate::rig::Rig;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_no_operator_has_seen_is_current_for_nobody() {
    let mut rig = Rig::with_portfolio("unseen").await;
    rig.channel("support", "+5511912345678", json!({})).await;
    for (kind, name) in [("wac", "support"), ("wap", "acme")] {
        let object = rig.get_of(kind, name).await;
        assert_eq!(object["status"], json!({"observedGeneration": -1}), "{kind}");
        assert_eq!(object["metadata"]["generation"], 1, "so whoever compares the two waits: {kind}");
    }
    let wait = ["wait", "--for=condition=Ready", "--timeout=3s", "-n", &rig.namespace, "wac/support"];
    assert!(!rig.plane.kubectl(wait).await.status.success(), "nobody has made it ready");

    let told = rig.listen().await;
    rig.start().await;
    for (kind, name) in [("wac", "support"), ("wap", "acme")] {
        let limit = Duration::from_secs(30);
        rig.until_of(kind, name, "a status", limit, |status| status["observedGeneration"] == 1).await;
    }
    rig.onboard("support", "+5511912345678").await;
    let told = told.lock().expect("nobody panicked").clone();
    for kind in ["a version of whatsappchannels", "a version of whatsappportfolios"] {
        let versions: Vec<_> = told.iter().filter(|(of, _)| of == kind).map(|(_, text)| text).collect();
        let first = versions.iter().find(|text| text.contains("\"conditions\"")).expect("a status");
        assert!(first.contains("NotObservedYet"), "nothing is looked at before the first: {first}");
    }
}
