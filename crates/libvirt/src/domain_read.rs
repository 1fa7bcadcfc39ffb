//! What a domain's XML tells: our mark, the taps, the console's terminal.
//!
//! Any domain of the host comes by here, also other people's and what they wrote into its title. So nothing in it is
//! taken for granted, nothing makes this panic, and whatever cannot be read in full carries no mark of ours.

use crate::domain_xml::MARK_NAMESPACE;
use honcho_agent_lib::drivers::{Mark, interface_of_tap};
use honcho_model::{Epoch, GuestId, InterfaceId};
use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use std::path::PathBuf;

/// What is of interest in a domain's XML.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainRead {
    /// Our mark, if it carries exactly one that can be read.
    pub mark: Option<Mark>,
    /// Interfaces whose taps it holds.
    pub interfaces: Vec<InterfaceId>,
    /// The terminal of its first serial console, while it runs.
    pub console: Option<PathBuf>,
}

/// Reads a domain's XML. What is no XML, or is cut short, reads as a domain without anything.
pub fn read_domain(xml: &str) -> DomainRead {
    let mut reader = NsReader::from_str(xml);
    let mut path: Vec<Vec<u8>> = Vec::new();
    let mut read = DomainRead::default();
    let mut marks = 0_u32;
    loop {
        let (namespace, event) = match reader.read_resolved_event() {
            Ok((namespace, event)) => (is_ours(&namespace), event),
            Err(_) => return DomainRead::default(),
        };
        match event {
            Event::Start(element) => {
                look_at(&path, namespace, &element, &mut read, &mut marks);
                path.push(element.name().as_ref().to_vec());
            }
            Event::Empty(element) => look_at(&path, namespace, &element, &mut read, &mut marks),
            Event::End(_) => {
                path.pop();
            }
            Event::Eof => break,
            _ => {}
        }
    }
    if !path.is_empty() {
        return DomainRead::default();
    }
    if marks != 1 {
        read.mark = None;
    }
    read
}

fn is_ours(namespace: &ResolveResult) -> bool {
    matches!(namespace, ResolveResult::Bound(Namespace(name)) if *name == MARK_NAMESPACE.as_bytes())
}

fn look_at(path: &[Vec<u8>], ours: bool, element: &BytesStart, read: &mut DomainRead, marks: &mut u32) {
    let steps: Vec<&[u8]> = path.iter().map(Vec::as_slice).collect();
    match (steps.as_slice(), element.local_name().as_ref()) {
        ([b"domain", b"metadata"], b"guest") if ours => {
            *marks += 1;
            read.mark = read_mark(element);
        }
        ([b"domain", b"devices", b"interface"], b"target") => {
            read.interfaces.extend(attribute(element, "dev").as_deref().and_then(interface_of_tap));
        }
        ([b"domain", b"devices", b"serial" | b"console"], b"source") if read.console.is_none() => {
            read.console = attribute(element, "path").map(PathBuf::from);
        }
        _ => {}
    }
}

/// The text of the first element at `path`, if there is one.
pub(crate) fn text_at(xml: &str, path: &[&str]) -> Option<String> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let mut at: Vec<Vec<u8>> = Vec::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) => at.push(element.name().as_ref().to_vec()),
            Event::End(_) => {
                at.pop();
            }
            Event::Text(text) if at.iter().map(Vec::as_slice).eq(path.iter().map(|step| step.as_bytes())) => {
                return text.decode().ok().map(std::borrow::Cow::into_owned);
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

fn read_mark(element: &BytesStart) -> Option<Mark> {
    Some(Mark {
        brain: attribute(element, "brain")?.parse().ok()?,
        guest: GuestId(attribute(element, "guest")?.parse().ok()?),
        epoch: Epoch(attribute(element, "epoch")?.parse().ok()?),
        boots: attribute(element, "boots")?.parse().ok()?,
    })
}

fn attribute(element: &BytesStart, name: &str) -> Option<String> {
    let attribute = element.try_get_attribute(name).ok()??;
    attribute.unescape_value().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MARK: &str = r#"<h:guest xmlns:h="urn:honcho:guest:1" brain="00000000-0000-0000-0000-000000000001" guest="7" epoch="3" boots="4"/>"#;

    fn marked(xml: &str) -> bool {
        read_domain(xml).mark.is_some()
    }

    #[test]
    fn only_our_mark_in_its_place_counts() {
        assert!(marked(&format!("<domain><metadata>{MARK}</metadata></domain>")));
        assert!(!marked(&format!("<domain><metadata><x>{MARK}</x></metadata></domain>")), "deeper");
        assert!(!marked(&format!("<domain>{MARK}</domain>")), "outside of metadata");
        assert!(!marked(&format!("<domain><metadata>{MARK}{MARK}</metadata></domain>")), "twice");
        assert!(!marked(&format!("<domain><metadata>{MARK}</metadata>")), "cut short");
        let foreign = MARK.replace("urn:honcho:guest:1", "urn:other");
        assert!(!marked(&format!("<domain><metadata>{foreign}</metadata></domain>")), "other namespace");
        let torn = MARK.replace("\"4\"", "\"four\"");
        assert!(!marked(&format!("<domain><metadata>{torn}</metadata></domain>")), "not a number");
        let comment = format!("<domain><metadata><!-- {MARK} --></metadata></domain>");
        assert!(!marked(&comment), "in a comment");
    }

    #[test]
    fn the_console_is_the_first_serial_line() {
        let xml = "<domain><devices><serial type='pty'><source path='/dev/pts/3'/></serial>
            <console type='pty'><source path='/dev/pts/4'/></console></devices></domain>";
        assert_eq!(read_domain(xml).console, Some("/dev/pts/3".into()));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in any::<String>()) { read_domain(&text); }

        #[test]
        fn nothing_like_xml_makes_it_panic(
            parts in prop::collection::vec(
                prop_oneof![
                    Just("<domain>".to_owned()), Just("</domain>".to_owned()), Just("<metadata>".to_owned()),
                    Just("</metadata>".to_owned()), Just(MARK.to_owned()), Just("<a b='".to_owned()),
                    Just("'/>".to_owned()), Just("&#x0;".to_owned()), Just("<![CDATA[".to_owned()), any::<String>(),
                ],
                0..20,
            ),
        ) { read_domain(&parts.concat()); }
    }
}
