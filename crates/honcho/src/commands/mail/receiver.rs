//! Settings of a receiver.

use super::{Address, CertificateArguments, address, name, path};
use crate::clean::clean;
use crate::command_error::CommandError;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};

pub(super) const HELP: &str = "\
Each --node names a sender by its certificate: the PEM file, or its SHA-256 fingerprint. Mail of other certificates is not taken, of \
whatever CA. The name is written into each mail; a slow log belongs to it, whatever else the mail says. guest-7 is guest 7. Run it \
with all nodes again when one is added.

Examples:
  honcho mail config receiver --to slowlog@logs.example.net --hostname mx1.example.net --node guest-7=web1.pem --node db1=db1.pem
  honcho mail config receiver --to slowlog@logs.example.net --hostname mx1.example.net --nodes /etc/honcho/mail/nodes | sh";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ReceiverArguments {
    /// The address that receives slow logs
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    to: Address,
    /// This machine's name, as its certificate has it
    #[arg(long, value_name = "NAME", value_parser = name)]
    hostname: String,
    /// A sender: NAME=FILE with its certificate, or NAME=AB:CD:… with that one's SHA-256
    #[arg(long, value_name = "NAME=CERTIFICATE")]
    node: Vec<String>,
    /// A file with such a sender on each line
    #[arg(long, value_name = "FILE")]
    nodes: Option<std::path::PathBuf>,
    #[command(flatten)]
    certificates: CertificateArguments,
    /// Where the mails go
    #[arg(long, value_name = "DIR", default_value = "/var/mail/honcho/slowlog", value_parser = path)]
    maildir: String,
    /// Who owns them
    #[arg(long, value_name = "USER", default_value = "honcho-post", value_parser = name)]
    user: String,
}

/// A sender's name, and the fingerprint of its certificate.
struct Node {
    name: String,
    fingerprint: String,
}

pub(super) fn script(arguments: &ReceiverArguments) -> Result<String, CommandError> {
    let nodes = nodes(arguments)?;
    let line = |node: &Node, text: String| format!("{} {text}", node.fingerprint);
    let listed: Vec<String> = nodes.iter().map(|node| line(node, "OK".to_owned())).collect();
    let stamped: Vec<String> =
        nodes.iter().map(|node| line(node, format!("PREPEND X-Verified-Node: {}", node.name))).collect();
    let CertificateArguments { ca, certificate, key } = &arguments.certificates;
    let Address { local, domain } = &arguments.to;
    let (base, own) = arguments.maildir.trim_end_matches('/').rsplit_once('/').unwrap_or(("", "slowlog"));
    let base = if base.is_empty() { "/" } else { base };
    Ok(format!(
        r#"#!/bin/sh
# Postfix of a machine that receives slow logs for {local}@{domain}, and no other mail. Run as root; it may be run again.
set -eu
directory=$(postconf -h config_directory)
kind=$(postconf -h default_database_type)
id '{user}' > /dev/null 2>&1 || adduser --system --group --no-create-home --home '{base}' '{user}'
install -d -m 755 '{base}'
install -d -o '{user}' -m 700 '{maildir}'

# Who may send: certificates, by their SHA-256. And the name that each is known by, which is written into its mails above all
# that came with them.
cat > "$directory/honcho-nodes" <<'NODES'
{listed}
NODES
cat > "$directory/honcho-stamp" <<'STAMP'
{stamped}
STAMP
printf '%s\t%s\n' '{local}@{domain}' '{own}/' > "$directory/honcho-mailbox"
for map in nodes stamp mailbox; do postmap "$kind:$directory/honcho-$map"; done

# No service runs in a chroot: the files above lie outside of it.
postconf -F '*/*/chroot = n'
postconf -e \
  'myhostname = {hostname}' 'mydestination =' 'local_recipient_maps =' 'inet_interfaces = all' \
  'virtual_mailbox_domains = {domain}' "virtual_mailbox_maps = $kind:$directory/honcho-mailbox" \
  'virtual_mailbox_base = {base}' \
  "virtual_uid_maps = static:$(id -u '{user}')" "virtual_gid_maps = static:$(id -g '{user}')" \
  'message_size_limit = 67108864' 'virtual_mailbox_limit = 0' 'mailbox_size_limit = 0'

# TLS, and a certificate of the own CA on both sides; then one that is listed.
postconf -e \
  'smtpd_tls_security_level = encrypt' 'smtpd_tls_req_ccert = yes' 'smtpd_tls_mandatory_protocols = >=TLSv1.2' \
  'smtpd_tls_CAfile = {ca}' 'smtpd_tls_cert_file = {certificate}' 'smtpd_tls_key_file = {key}' \
  'tls_append_default_CA = no' 'smtpd_tls_fingerprint_digest = sha256' 'smtpd_tls_received_header = yes' \
  'smtpd_relay_restrictions = reject_unauth_destination' \
  "smtpd_recipient_restrictions = check_ccert_access $kind:$directory/honcho-nodes, reject" \
  "smtpd_data_restrictions = check_ccert_access $kind:$directory/honcho-stamp"

# Nothing is refused for good, and nothing bounces before a month: either would be a log lost.
postconf -e 'soft_bounce = yes' 'maximal_queue_lifetime = 30d' 'bounce_queue_lifetime = 30d'

postfix check
if postfix status > /dev/null 2>&1; then postfix reload; fi
"#,
        user = arguments.user,
        maildir = arguments.maildir,
        hostname = arguments.hostname,
        listed = listed.join("\n"),
        stamped = stamped.join("\n"),
    ))
}

fn nodes(arguments: &ReceiverArguments) -> Result<Vec<Node>, CommandError> {
    let mut texts = arguments.node.clone();
    if let Some(file) = &arguments.nodes {
        let text = std::fs::read_to_string(file).map_err(|error| {
            CommandError::failed(format!("cannot read {}", clean(&file.display().to_string()))).cause(&error)
        })?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        texts.extend(lines.map(str::to_owned));
    }
    let nodes = texts.iter().map(|text| node(text)).collect::<Result<Vec<_>, _>>()?;
    if nodes.is_empty() {
        return Err(CommandError::usage("no sender is named").hint("as in --node guest-7=web1.pem"));
    }
    for (at, node) in nodes.iter().enumerate() {
        if nodes[..at].iter().any(|other| other.fingerprint == node.fingerprint) {
            let text = format!("two nodes have the certificate {}", node.fingerprint);
            return Err(CommandError::usage(text).hint("a log would belong to whichever is found first"));
        }
    }
    Ok(nodes)
}

fn node(text: &str) -> Result<Node, CommandError> {
    let wrong = |why: &str| {
        CommandError::usage(format!("--node {}: {why}", clean(text))).hint("as in --node guest-7=web1.pem")
    };
    let (name, certificate) = text.split_once('=').ok_or_else(|| wrong("has no ="))?;
    let name = honcho_post::NodeName::new(name)
        .ok_or_else(|| wrong("the name must have letters, digits, dots, hyphens and underscores alone"))?;
    let pairs: Vec<&str> = certificate.split(':').collect();
    let is_pair = |pair: &&str| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    let fingerprint = if pairs.len() == 32 && pairs.iter().all(is_pair) {
        certificate.to_ascii_uppercase()
    } else {
        let der = CertificateDer::from_pem_file(certificate)
            .map_err(|error| wrong(&format!("neither a fingerprint nor a certificate: {error}")))?;
        let digest = Sha256::digest(&der);
        digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    };
    Ok(Node { name: name.as_str().to_owned(), fingerprint })
}

#[cfg(test)]
mod tests {
    use super::node;

    #[test]
    fn nodes_are_named_by_certificates() {
        let fingerprint = ["ab"; 32].join(":");
        let found = node(&format!("guest-7={fingerprint}")).ok().map(|node| (node.name, node.fingerprint));
        assert_eq!(found, Some(("guest-7".to_owned(), fingerprint.to_ascii_uppercase())));
        for wrong in ["", "guest-7", "=x", "a b=AB", "guest-7=/nowhere.pem", "x\ny=/nowhere.pem"] {
            assert!(node(wrong).is_err(), "{wrong}");
        }
    }
}
