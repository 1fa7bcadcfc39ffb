//! The same domain once more: another name and uuid, a disk, network cards and console log of its own, and without
//! Honcho's mark, so that the agent leaves it alone. Kernel, processors, memory and everything else stay.

use anyhow::{Context as _, Result, bail, ensure};
use quick_xml::events::{BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer};
use std::path::Path;
use uuid::Uuid;

/// What is different about the copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Difference<'a> {
    pub(crate) name: &'a str,
    pub(crate) uuid: Uuid,
    pub(crate) disk: &'a Path,
    pub(crate) console_log: &'a Path,
}

/// The first three bytes of the copy's hardware addresses: QEMU's own.
const MAC_PREFIX: &str = "52:54:00";

/// Writes the copy's XML.
pub(crate) fn copy(xml: &str, difference: &Difference<'_>) -> Result<String> {
    let mut reader = Reader::from_str(xml);
    let mut writer = Writer::new(Vec::new());
    let mut copy = Copy { difference, path: Vec::new(), cards: 0, disks: 0 };
    loop {
        match reader.read_event().context("libvirt's XML cannot be read")? {
            Event::Start(element) if copy.is_left_out(&element) => {
                reader.read_to_end(element.name())?;
            }
            Event::Start(element) => {
                let changed = copy.changed(element.into_owned())?;
                copy.path.push(String::from_utf8_lossy(changed.name().as_ref()).into_owned());
                writer.write_event(Event::Start(changed))?;
            }
            Event::Empty(element) if copy.is_left_out(&element) => {}
            Event::Empty(element) => writer.write_event(Event::Empty(copy.changed(element.into_owned())?))?,
            Event::End(element) => {
                copy.path.pop();
                writer.write_event(Event::End(element))?;
            }
            Event::Text(text) => match copy.text() {
                Some(other) => writer.write_event(Event::Text(BytesText::new(&other)))?,
                None => writer.write_event(Event::Text(text))?,
            },
            Event::Eof => break,
            other => writer.write_event(other)?,
        }
    }
    ensure!(copy.disks == 1, "the domain has {} disks, where one was expected", copy.disks);
    Ok(String::from_utf8(writer.into_inner())?)
}

/// The path of the domain's disk.
pub(crate) fn disk_of(xml: &str) -> Result<String> {
    let mut reader = Reader::from_str(xml);
    let mut path: Vec<Vec<u8>> = Vec::new();
    loop {
        let is_source = |path: &[Vec<u8>], element: &BytesStart<'_>| {
            path.iter().eq(["domain", "devices", "disk"].map(str::as_bytes).iter().copied())
                && element.name().as_ref() == b"source"
        };
        match reader.read_event().context("libvirt's XML cannot be read")? {
            Event::Start(element) | Event::Empty(element) if is_source(&path, &element) => {
                return attribute(&element, "file");
            }
            Event::Start(element) => path.push(element.name().as_ref().to_vec()),
            Event::End(_) => drop(path.pop()),
            Event::Eof => bail!("the domain has no disk"),
            _ => {}
        }
    }
}

struct Copy<'a> {
    difference: &'a Difference<'a>,
    path: Vec<String>,
    cards: u32,
    disks: u32,
}

impl Copy<'_> {
    fn at(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    fn is_left_out(&self, element: &BytesStart<'_>) -> bool {
        self.at() == ["domain"] && matches!(element.name().as_ref(), b"metadata" | b"title")
    }

    fn text(&self) -> Option<String> {
        match self.at().as_slice() {
            ["domain", "name"] => Some(self.difference.name.to_owned()),
            ["domain", "uuid"] => Some(self.difference.uuid.to_string()),
            _ => None,
        }
    }

    fn changed(&mut self, element: BytesStart<'static>) -> Result<BytesStart<'static>> {
        let name = String::from_utf8_lossy(element.name().as_ref()).into_owned();
        match (self.at().as_slice(), name.as_str()) {
            (["domain", "devices", "disk"], "source") => {
                self.disks += 1;
                with(&element, "file", &self.difference.disk.to_string_lossy())
            }
            (["domain", "devices", "serial" | "console"], "log") => {
                with(&element, "file", &self.difference.console_log.to_string_lossy())
            }
            (["domain", "devices", "interface"], "mac") => {
                self.cards += 1;
                let old = attribute(&element, "address")?;
                let Some(tail) = old.get(MAC_PREFIX.len()..) else { bail!("{old} is no hardware address") };
                with(&element, "address", &format!("{MAC_PREFIX}{tail}"))
            }
            (["domain", "devices", "interface"], "target") => {
                with(&element, "dev", &format!("hbench{}", self.cards))
            }
            _ => Ok(element),
        }
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Result<String> {
    let attribute = element.try_get_attribute(name)?;
    let attribute = attribute.with_context(|| format!("libvirt's XML has an element without {name}"))?;
    Ok(attribute.unescape_value()?.into_owned())
}

/// The element with another value of an attribute that it has.
fn with(element: &BytesStart<'_>, name: &str, value: &str) -> Result<BytesStart<'static>> {
    attribute(element, name)?;
    let mut changed = BytesStart::new(String::from_utf8(element.name().as_ref().to_vec())?);
    for old in element.attributes() {
        let old = old?;
        if old.key.as_ref() == name.as_bytes() {
            changed.push_attribute((name, value));
        } else {
            changed.push_attribute(old);
        }
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(xml: &str, expected: &Expect) {
        let difference = Difference {
            name: "honcho-bench",
            uuid: Uuid::from_u128(9),
            disk: Path::new("/pool/b & c/disk.raw"),
            console_log: Path::new("/pool/b/console.log"),
        };
        expected.assert_eq(&copy(xml, &difference).unwrap_or_else(|error| format!("{error:#}")));
    }

    #[test]
    fn only_what_must_differ_does() {
        check(
            r#"<domain type="qemu">
  <name>honcho-g7</name>
  <uuid>00000000-0000-0000-0000-000000000007</uuid><title>web1</title><metadata><h:guest xmlns:h="urn:honcho:guest:1" guest="7"/></metadata>
  <memory unit="KiB">524288</memory>
  <os><kernel>/pool/boot/kernel</kernel></os>
  <devices>
    <disk type="file"><source file="/pool/v7.raw" index="1"/><target dev="vda"/></disk>
    <interface type="bridge">
      <mac address="02:00:00:00:00:0c"/><source bridge="hb5"/><target dev="htc"/>
    </interface>
    <serial type="pty"><log file="/pool/v7.console.log" append="on"/><target port="0"/></serial>
  </devices>
</domain>"#,
            &expect![[r#"
                <domain type="qemu">
                  <name>honcho-bench</name>
                  <uuid>00000000-0000-0000-0000-000000000009</uuid>
                  <memory unit="KiB">524288</memory>
                  <os><kernel>/pool/boot/kernel</kernel></os>
                  <devices>
                    <disk type="file"><source file="/pool/b &amp; c/disk.raw" index="1"/><target dev="vda"/></disk>
                    <interface type="bridge">
                      <mac address="52:54:00:00:00:0c"/><source bridge="hb5"/><target dev="hbench1"/>
                    </interface>
                    <serial type="pty"><log file="/pool/b/console.log" append="on"/><target port="0"/></serial>
                  </devices>
                </domain>"#]],
        );
    }

    #[test]
    fn what_is_no_such_domain_is_refused() {
        check("<domain><name>a</name></domain>", &expect!["the domain has 0 disks, where one was expected"]);
        check(
            "<domain><devices><disk><source dev='/dev/a'/></disk></devices></domain>",
            &expect!["libvirt's XML has an element without file"],
        );
        check(
            "<domain><name>a</domain>",
            &expect![
                "libvirt's XML cannot be read: ill-formed document: expected `</name>`, but `</domain>` was found: expected `</name>`, but `</domain>` was found"
            ],
        );
    }
}
