//! A window is called off: afterwards a host is as it was before.

use crate::harness::{Lab, secs};

pub fn early(lab: &Lab) {
    let host = "bookworm03";
    let before = lab.snapshot(host);
    let controller = lab.controller();
    let alice = lab.log_in("alice@bookworm03");
    controller.run(&["run", "graceful-shutdown", "-l", host, "--in", "30m", "--yes"]).expect(0);
    controller.run(&["status", "-l", host]).expect(0);
    let r = controller.run(&["cancel", "--yes"]);
    println!("{r:?}\n{}", alice.out.text());
    drop(alice);
    println!("{:#?}", lab.wait_for_snapshot(host, &before, secs(5)));
}
