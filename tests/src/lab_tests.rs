//! The lab itself: two hosts that know nothing of each other, power cuts, and nothing left behind.
#![allow(clippy::unwrap_used, clippy::used_underscore_binding)]

use super::*;

#[allow(clippy::print_stderr)]
fn may_run() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: the lab needs root");
    }
    root
}

fn links() -> String {
    ip_output(&["-brief", "link"]).unwrap()
}

#[test]
#[allow(clippy::print_stdout)]
fn two_hosts_boot_and_go() {
    if !may_run() {
        return;
    }
    let lab = Lab::new().unwrap();
    let own = bridge_name(lab.number);
    let mut one = lab.host("h1").unwrap();
    let two = lab.host("h2").unwrap();
    for host in [&one, &two] {
        println!(
            "{}",
            host.run("hostname; virsh list --all; ip -brief address show dev eth0; hostname -I").unwrap()
        );
        assert_eq!(host.run("hostname").unwrap().trim(), host.name());
    }
    assert_ne!(one.run("cat /run/libvirtd.pid; cat /proc/sys/kernel/random/boot_id").unwrap(), "");

    // Hosts reach the brain's side and each other.
    let listener = std::net::TcpListener::bind((lab.brain_address(), 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    one.run(&format!("bash -c '</dev/tcp/{}/{port}'", lab.brain_address())).unwrap();
    let refused = one.run(&format!("bash -c '</dev/tcp/{}/9' 2>&1; true", two.address())).unwrap();
    assert!(refused.contains("refused"), "{refused}");

    // A power cut ends everything inside; the disk stays, and the boot id is another.
    let before = one.run("cat /proc/sys/kernel/random/boot_id").unwrap();
    one.run("ip link add hb1 type bridge; echo kept > /var/lib/libvirt/kept").unwrap();
    let mut process = one.spawn(one.command("sleep").arg("1000"), "sleep.log").unwrap();
    assert!(process.ended().unwrap().is_none());
    one.reboot().unwrap();
    wait_until("sleep to be gone", || process.ended().unwrap().is_some()).unwrap();
    assert_ne!(one.run("cat /proc/sys/kernel/random/boot_id").unwrap(), before);
    assert_eq!(
        one.run("cat /var/lib/libvirt/kept; ip -o link show hb1 2> /dev/null; true").unwrap(),
        "kept\n"
    );

    one.kill_libvirtd().unwrap();
    assert!(one.run("virsh list").is_err());
    one.start_libvirtd().unwrap();
    one.run("virsh list").unwrap();

    let directory = lab.directory().to_owned();
    drop((one, two, lab));
    assert!(!directory.exists() && !links().contains(&format!("{own} ")));
}

#[test]
fn what_a_killed_lab_left_is_removed_by_the_next() {
    if !may_run() {
        return;
    }
    let lab = Lab::new().unwrap();
    let host = lab.host("h1").unwrap();
    let (number, directory) = (lab.number, lab.directory().to_owned());
    let init = host.running.as_ref().unwrap().init;
    // As a SIGKILL would: nobody drops anything, and the kernel lets go of the lock.
    lab._lock.unlock().unwrap();
    std::mem::forget((lab, host));
    assert!(rustix::process::test_kill_process(init).is_ok());
    let next = Lab::new().unwrap();
    wait_until("the killed lab's host to end", || rustix::process::test_kill_process(init).is_err()).unwrap();
    assert!(next.number == number || !directory.exists());
}
