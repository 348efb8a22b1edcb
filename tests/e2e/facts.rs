//! What hosts are, asked and remembered.

use crate::support::{OpenSsh, Place};

fn rows(out: &str) -> Vec<serde_json::Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_are_kept_with_their_age_and_old_ones_are_called_old() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    let first = ctl.run("facts @fleet --json").await.code(0);
    let seen = rows(&first.out);
    assert_eq!(seen.len(), 2, "{}", first.out);
    for row in &seen {
        assert!(
            row["boot_id"].is_string() && row["kernel"].is_string() && row["uptime_s"].is_null(),
            "{row}"
        );
        assert!(!row["stale"].as_bool().unwrap() && row["error"].is_null(), "{row}");
    }
    // A second look does not ask: even a host that is down is told of.
    place.host(2).power_off().await.unwrap();
    place.down(2).await;
    let kept = ctl.run("facts @fleet --json --max-age 1h").await.code(0);
    assert_eq!(rows(&kept.out)[1]["boot_id"], seen[1]["boot_id"]);
    let asked = ctl.run("facts @fleet --refresh --connect-timeout 5s").await.code(4);
    assert!(asked.out.contains("ago, OLD"), "{}", asked.out);
    assert!(asked.out.contains("login02: failed to"), "{}", asked.out);
    let asked = ctl.run("facts login02 --refresh --json --connect-timeout 5s").await.code(4);
    let row = &rows(&asked.out)[0];
    assert!(row["stale"].as_bool().unwrap() && row["boot_id"] == seen[1]["boot_id"], "{row}");
    // Who was never seen is not known.
    let other = place.another_controller();
    let never = other.run("facts login02 --connect-timeout 5s").await.code(4);
    assert!(never.out.contains("never") && never.out.contains("nothing is known of it"), "{}", never.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_sshd_is_named() {
    let Some(fleet) = OpenSsh::start(1, |_, _| {}) else { return };
    let ctl = fleet.controller("");
    let said = ctl.run("facts web001 --json").await.code(0);
    let row = &rows(&said.out)[0];
    assert!(row["sshd"].as_str().unwrap().starts_with("OpenSSH_"), "{row}");
    assert_eq!(row["hostname"], "web001");
    assert!(row["uptime_s"].is_u64(), "{row}");
    assert!(row["machine_id"].as_str().unwrap().len() == 32, "{row}");
}
