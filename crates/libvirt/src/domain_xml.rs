//! What a guest is, in libvirt's words: a [`DomainSpec`] written as domain XML.
//!
//! Pure, so that the whole of what a guest gets can be read in one snapshot. It never writes a value unescaped, and
//! never a domain that libvirt would start by itself: ours are transient, and each way of ending destroys them, so
//! that an in-guest reboot is a stop and a start by the agent (which reads the kernel anew).

use honcho_agent_lib::drivers::{DomainSpec, InterfaceSpec, Mark, tap_name};
use quick_xml::Writer;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};
use std::io;
use std::path::Path;

/// The XML namespace of our mark inside `<metadata>`.
pub const MARK_NAMESPACE: &str = "urn:honcho:guest:1";

/// What executes a guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// The processor.
    Kvm,
    /// QEMU, in software.
    Tcg,
}

/// QEMU's cache of translated code. Its default grows past a gigabyte for a guest of half a one.
const TRANSLATION_CACHE_MIB: &str = "64";

/// The XML that creates the domain.
pub fn domain_xml(spec: &DomainSpec, accel: &Accel) -> String {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    // Writing to a vector cannot fail; were it to, what is there is no whole document and libvirt says so.
    if let Err(error) = write_domain(&mut Xml { writer: &mut writer }, spec, *accel) {
        tracing::error!(%error, "domain XML could not be written");
    }
    String::from_utf8_lossy(&writer.into_inner()).into_owned()
}

struct Xml<'a> {
    writer: &'a mut Writer<Vec<u8>>,
}

type Attributes<'a> = &'a [(&'a str, &'a str)];

impl Xml<'_> {
    fn empty(&mut self, name: &str, attributes: Attributes) -> io::Result<()> {
        self.writer.write_event(Event::Empty(start(name, attributes)))
    }

    fn text(&mut self, name: &str, attributes: Attributes, text: &str) -> io::Result<()> {
        self.writer.write_event(Event::Start(start(name, attributes)))?;
        self.writer.write_event(Event::Text(BytesText::new(&printable(text))))?;
        self.writer.write_event(Event::End(BytesEnd::new(name)))
    }

    fn nest(
        &mut self,
        name: &str,
        attributes: Attributes,
        inside: impl FnOnce(&mut Xml) -> io::Result<()>,
    ) -> io::Result<()> {
        self.writer.write_event(Event::Start(start(name, attributes)))?;
        inside(&mut Xml { writer: self.writer })?;
        self.writer.write_event(Event::End(BytesEnd::new(name)))
    }
}

fn start(name: &str, attributes: Attributes) -> BytesStart<'static> {
    let mut element = BytesStart::new(name.to_owned());
    for (key, value) in attributes {
        element.push_attribute((*key, printable(value).as_str()));
    }
    element
}

/// XML 1.0 has no way to write most control characters, not even escaped.
fn printable(text: &str) -> String {
    let forbidden =
        |c: char| (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}');
    text.chars().map(|c| if forbidden(c) { '\u{fffd}' } else { c }).collect()
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn write_domain(xml: &mut Xml, spec: &DomainSpec, accel: Accel) -> io::Result<()> {
    let kind = match accel {
        Accel::Kvm => "kvm",
        Accel::Tcg => "qemu",
    };
    xml.nest("domain", &[("type", kind)], |xml| {
        xml.text("name", &[], &spec.name)?;
        xml.text("uuid", &[], &spec.uuid.to_string())?;
        xml.text("title", &[], &spec.title)?;
        xml.nest("metadata", &[], |xml| write_mark(xml, &spec.mark))?;
        xml.text("memory", &[("unit", "b")], &spec.memory.0.to_string())?;
        xml.text("vcpu", &[("placement", "static")], &spec.vcpus.to_string())?;
        write_boot(xml, spec, accel)?;
        write_processor(xml, accel)?;
        xml.empty("clock", &[("offset", "utc")])?;
        for event in ["on_poweroff", "on_reboot", "on_crash"] {
            xml.text(event, &[], "destroy")?;
        }
        xml.nest("devices", &[], |xml| write_devices(xml, spec))
    })
}

fn write_mark(xml: &mut Xml, mark: &Mark) -> io::Result<()> {
    xml.empty(
        "honcho:guest",
        &[
            ("xmlns:honcho", MARK_NAMESPACE),
            ("brain", &mark.brain.to_string()),
            ("guest", &mark.guest.to_string()),
            ("epoch", &mark.epoch.to_string()),
            ("boots", &mark.boots.to_string()),
        ],
    )
}

fn write_boot(xml: &mut Xml, spec: &DomainSpec, accel: Accel) -> io::Result<()> {
    // There is no partition table: the root filesystem is the disk itself. Mitigations guard against a processor's
    // speculation, which software emulation has none of, and cost it a third of its speed. A kernel that panics leaves
    // ten seconds for its last words to be read and reboots, which ends the domain: otherwise it would stand there for
    // ever and look as if it ran.
    let command_line = match accel {
        Accel::Kvm => "root=/dev/vda rw console=ttyS0 net.ifnames=0 quiet panic=10",
        Accel::Tcg => "root=/dev/vda rw console=ttyS0 net.ifnames=0 quiet panic=10 mitigations=off",
    };
    xml.nest("os", &[], |xml| {
        xml.text("type", &[("arch", "x86_64"), ("machine", "q35")], "hvm")?;
        xml.text("kernel", &[], &path_text(&spec.boot.kernel))?;
        if let Some(initrd) = &spec.boot.initrd {
            xml.text("initrd", &[], &path_text(initrd))?;
        }
        xml.text("cmdline", &[], command_line)
    })
}

fn write_processor(xml: &mut Xml, accel: Accel) -> io::Result<()> {
    xml.nest("features", &[], |xml| {
        xml.empty("acpi", &[])?;
        xml.empty("apic", &[])?;
        if accel == Accel::Tcg {
            xml.nest("tcg", &[], |xml| xml.text("tb-cache", &[("unit", "MiB")], TRANSLATION_CACHE_MIB))?;
        }
        Ok(())
    })?;
    match accel {
        Accel::Kvm => xml.empty("cpu", &[("mode", "host-passthrough"), ("check", "none")]),
        Accel::Tcg => xml.nest("cpu", &[("mode", "custom"), ("match", "exact"), ("check", "none")], |xml| {
            xml.text("model", &[("fallback", "allow")], "qemu64")
        }),
    }
}

fn write_devices(xml: &mut Xml, spec: &DomainSpec) -> io::Result<()> {
    let (kind, source) = if spec.disk.starts_with("/dev") { ("block", "dev") } else { ("file", "file") };
    xml.nest("disk", &[("type", kind), ("device", "disk")], |xml| {
        // Write-back with the guest's flushes honoured: safe across a power cut, and unlike direct I/O it works on
        // every filesystem a pool may be on. Zeroes and discarded blocks give their space back to the pool.
        xml.empty(
            "driver",
            &[
                ("name", "qemu"),
                ("type", "raw"),
                ("cache", "writeback"),
                ("discard", "unmap"),
                ("detect_zeroes", "unmap"),
            ],
        )?;
        xml.empty("source", &[(source, &path_text(&spec.disk))])?;
        xml.empty("target", &[("dev", "vda"), ("bus", "virtio")])
    })?;
    for interface in &spec.interfaces {
        write_interface(xml, interface)?;
    }
    xml.nest("serial", &[("type", "pty")], |xml| {
        xml.empty("log", &[("file", &path_text(&spec.console_log)), ("append", "on")])?;
        xml.empty("target", &[("type", "isa-serial"), ("port", "0")])
    })?;
    xml.nest("rng", &[("model", "virtio")], |xml| {
        xml.text("backend", &[("model", "random")], "/dev/urandom")
    })?;
    xml.empty("controller", &[("type", "usb"), ("model", "none")])?;
    xml.empty("memballoon", &[("model", "none")])
}

fn write_interface(xml: &mut Xml, interface: &InterfaceSpec) -> io::Result<()> {
    xml.nest("interface", &[("type", "bridge")], |xml| {
        xml.empty("mac", &[("address", &interface.mac.to_string())])?;
        xml.empty("source", &[("bridge", &interface.bridge)])?;
        xml.empty("target", &[("dev", &tap_name(interface.id))])?;
        xml.empty("model", &[("type", "virtio")])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain_read::read_domain;
    use expect_test::{Expect, expect};
    use honcho_agent_lib::drivers::BootFiles;
    use honcho_model::{Bytes, Epoch, GuestId, InterfaceId};
    use proptest::prelude::*;
    use uuid::Uuid;

    fn spec() -> DomainSpec {
        DomainSpec {
            name: "honcho-g7".to_owned(),
            uuid: Uuid::from_u128(7),
            title: "web1".to_owned(),
            mark: Mark { brain: Uuid::from_u128(1), guest: GuestId(7), epoch: Epoch(3), boots: 4 },
            memory: Bytes::mib(512),
            vcpus: 2,
            disk: "/pool/v<9>&\".raw".into(),
            boot: BootFiles {
                kernel: "/pool/boot/vmlinuz".into(),
                initrd: Some("/pool/boot/initrd.img".into()),
            },
            interfaces: vec![
                InterfaceSpec {
                    id: InterfaceId(12),
                    mac: "52:54:00:00:00:0c".parse().unwrap(),
                    bridge: "hb5".to_owned(),
                },
                InterfaceSpec {
                    id: InterfaceId(40),
                    mac: "52:54:00:00:00:28".parse().unwrap(),
                    bridge: "hb6".to_owned(),
                },
            ],
            console_log: "/pool/v9.console.log".into(),
        }
    }

    fn check(accel: Accel, expected: &Expect) {
        expected.assert_eq(&domain_xml(&spec(), &accel));
    }

    #[test]
    fn a_guest_in_software() {
        check(
            Accel::Tcg,
            &expect![[r#"
                <domain type="qemu">
                  <name>honcho-g7</name>
                  <uuid>00000000-0000-0000-0000-000000000007</uuid>
                  <title>web1</title>
                  <metadata>
                    <honcho:guest xmlns:honcho="urn:honcho:guest:1" brain="00000000-0000-0000-0000-000000000001" guest="7" epoch="3" boots="4"/>
                  </metadata>
                  <memory unit="b">536870912</memory>
                  <vcpu placement="static">2</vcpu>
                  <os>
                    <type arch="x86_64" machine="q35">hvm</type>
                    <kernel>/pool/boot/vmlinuz</kernel>
                    <initrd>/pool/boot/initrd.img</initrd>
                    <cmdline>root=/dev/vda rw console=ttyS0 net.ifnames=0 quiet panic=10 mitigations=off</cmdline>
                  </os>
                  <features>
                    <acpi/>
                    <apic/>
                    <tcg>
                      <tb-cache unit="MiB">64</tb-cache>
                    </tcg>
                  </features>
                  <cpu mode="custom" match="exact" check="none">
                    <model fallback="allow">qemu64</model>
                  </cpu>
                  <clock offset="utc"/>
                  <on_poweroff>destroy</on_poweroff>
                  <on_reboot>destroy</on_reboot>
                  <on_crash>destroy</on_crash>
                  <devices>
                    <disk type="file" device="disk">
                      <driver name="qemu" type="raw" cache="writeback" discard="unmap" detect_zeroes="unmap"/>
                      <source file="/pool/v&lt;9&gt;&amp;&quot;.raw"/>
                      <target dev="vda" bus="virtio"/>
                    </disk>
                    <interface type="bridge">
                      <mac address="52:54:00:00:00:0c"/>
                      <source bridge="hb5"/>
                      <target dev="htc"/>
                      <model type="virtio"/>
                    </interface>
                    <interface type="bridge">
                      <mac address="52:54:00:00:00:28"/>
                      <source bridge="hb6"/>
                      <target dev="ht14"/>
                      <model type="virtio"/>
                    </interface>
                    <serial type="pty">
                      <log file="/pool/v9.console.log" append="on"/>
                      <target type="isa-serial" port="0"/>
                    </serial>
                    <rng model="virtio">
                      <backend model="random">/dev/urandom</backend>
                    </rng>
                    <controller type="usb" model="none"/>
                    <memballoon model="none"/>
                  </devices>
                </domain>"#]],
        );
    }

    #[test]
    fn a_guest_on_the_processor() {
        check(
            Accel::Kvm,
            &expect![[r#"
                <domain type="kvm">
                  <name>honcho-g7</name>
                  <uuid>00000000-0000-0000-0000-000000000007</uuid>
                  <title>web1</title>
                  <metadata>
                    <honcho:guest xmlns:honcho="urn:honcho:guest:1" brain="00000000-0000-0000-0000-000000000001" guest="7" epoch="3" boots="4"/>
                  </metadata>
                  <memory unit="b">536870912</memory>
                  <vcpu placement="static">2</vcpu>
                  <os>
                    <type arch="x86_64" machine="q35">hvm</type>
                    <kernel>/pool/boot/vmlinuz</kernel>
                    <initrd>/pool/boot/initrd.img</initrd>
                    <cmdline>root=/dev/vda rw console=ttyS0 net.ifnames=0 quiet panic=10</cmdline>
                  </os>
                  <features>
                    <acpi/>
                    <apic/>
                  </features>
                  <cpu mode="host-passthrough" check="none"/>
                  <clock offset="utc"/>
                  <on_poweroff>destroy</on_poweroff>
                  <on_reboot>destroy</on_reboot>
                  <on_crash>destroy</on_crash>
                  <devices>
                    <disk type="file" device="disk">
                      <driver name="qemu" type="raw" cache="writeback" discard="unmap" detect_zeroes="unmap"/>
                      <source file="/pool/v&lt;9&gt;&amp;&quot;.raw"/>
                      <target dev="vda" bus="virtio"/>
                    </disk>
                    <interface type="bridge">
                      <mac address="52:54:00:00:00:0c"/>
                      <source bridge="hb5"/>
                      <target dev="htc"/>
                      <model type="virtio"/>
                    </interface>
                    <interface type="bridge">
                      <mac address="52:54:00:00:00:28"/>
                      <source bridge="hb6"/>
                      <target dev="ht14"/>
                      <model type="virtio"/>
                    </interface>
                    <serial type="pty">
                      <log file="/pool/v9.console.log" append="on"/>
                      <target type="isa-serial" port="0"/>
                    </serial>
                    <rng model="virtio">
                      <backend model="random">/dev/urandom</backend>
                    </rng>
                    <controller type="usb" model="none"/>
                    <memballoon model="none"/>
                  </devices>
                </domain>"#]],
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        let seen = read_domain(&domain_xml(&spec(), &Accel::Kvm));
        assert_eq!(seen.mark, Some(spec().mark));
        assert_eq!(seen.interfaces, [InterfaceId(12), InterfaceId(40)]);
    }

    proptest! {
        #[test]
        fn no_title_or_path_breaks_out(title in any::<String>(), disk in any::<String>(), boots in any::<u64>()) {
            let mut spec = spec();
            spec.title = title;
            spec.disk = disk.into();
            spec.mark.boots = boots;
            let seen = read_domain(&domain_xml(&spec, &Accel::Tcg));
            prop_assert_eq!(seen.mark, Some(spec.mark));
            prop_assert_eq!(seen.interfaces, [InterfaceId(12), InterfaceId(40)]);
        }
    }
}
