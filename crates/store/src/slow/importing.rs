//! Counting a mail: its identity, and all that its events add up to, in one transaction.

use super::classes::{self, Summed};
use super::periods::{self, Addition, MOST_TIME};
use super::servers::{LATE, MAILS_KEPT, is_waited_for, told_gaps};
use super::{placeholders, text};
use crate::events::{self, NewEvent};
use crate::sql::{execute, insert, is_postgres, number, row, signed, values};
use crate::{Change, StoreResult, Tx};
use honcho_model::account::SampleValues;
use honcho_model::event::ResourceKind;
use honcho_model::{AccountId, GuestId, SlowServerId};
use honcho_slowlog::{By, Digest, Logging};
use sea_orm::{FromQueryResult, Value};
use std::collections::HashMap;
use uuid::Uuid;

/// How many rows are written by one statement: SQLite binds 32,766 values.
const ROWS: usize = 1_000;
/// What a server that has sent one log is expected to send the next one within.
const FIRST_PAUSE: i64 = 86_400_000_000;

/// A mail, as far as the store asks.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Whose it is, by the word of the receiver that saw its certificate.
    pub node: String,
    /// What the server calls itself.
    pub reported_name: String,
    /// The sender's spool.
    pub spool: Uuid,
    /// Which of its mails it is.
    pub sequence: i64,
    /// SHA-256 of what it carries.
    pub digest: [u8; 32],
    /// When it was cut, by the sender's clock.
    pub cut_at: i64,
    /// What the server logged as slow then, if it said so.
    pub logging: Option<Logging>,
    /// Bytes of log.
    pub bytes: u64,
    /// What was read and is no event.
    pub left_out: u64,
}

/// What the events of a day (UTC) add up to, hour by hour.
#[derive(Debug)]
pub struct Day {
    /// When it begins, in microseconds since 1970.
    pub begins: i64,
    /// What happened.
    pub digest: Digest,
}

/// Counts a mail, unless it was counted before.
pub struct MailImport {
    /// Which.
    pub mail: Mail,
    /// Its events.
    pub days: Vec<Day>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// It is counted now: the server, and how many events.
    Now(SlowServerId, u64),
    /// It was counted before.
    Before(SlowServerId),
    /// Another mail of the same number was counted before.
    AsAnother(SlowServerId),
}

#[derive(FromQueryResult)]
struct Server {
    id: i64,
    guest_id: Option<i64>,
    account_id: Option<i64>,
    /// Whether the account keeps the values in samples.
    keeps_sample_values: Option<bool>,
    last_mail_at: i64,
    usual_pause: i64,
    silent_since: Option<i64>,
    late_since: Option<i64>,
    logging_told_at: Option<i64>,
}

#[derive(FromQueryResult)]
struct Known {
    digest: Vec<u8>,
}

#[derive(FromQueryResult)]
struct Owner {
    account_id: i64,
    keeps_sample_values: bool,
}

#[derive(FromQueryResult)]
struct Spool {
    id: i64,
    highest: i64,
}

#[derive(FromQueryResult)]
struct Gap {
    id: i64,
    first: i64,
    last: i64,
    since: i64,
    told: bool,
}

impl Change for MailImport {
    type Out = Came;

    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Came> {
        let server = self.server(tx).await?;
        let spool = self.spool(tx, server.id).await?;
        let sql = "SELECT digest FROM slow_mails WHERE slow_spool_id = $1 AND sequence = $2";
        let known: Option<Known> = row(tx, sql, values![spool.id, self.mail.sequence]).await?;
        match known {
            Some(known) if known.digest == self.mail.digest => {
                return Ok(Came::Before(SlowServerId(server.id)));
            }
            Some(_) => return self.contradicts(tx, &server).await,
            None => {}
        }
        if !self.closes(tx, &server, &spool).await? {
            // A mail that came before came after it was cut, and its digest is kept for so long.
            let digest_is_kept = self.mail.cut_at > tx.now.0 - MAILS_KEPT + A_DAY;
            if digest_is_kept {
                return self.contradicts(tx, &server).await;
            }
            return Ok(Came::Before(SlowServerId(server.id)));
        }
        execute(
            tx,
            "INSERT INTO slow_mails (slow_spool_id, sequence, digest, imported_at) VALUES ($1, $2, $3, $4)",
            values![spool.id, self.mail.sequence, self.mail.digest.to_vec(), tx.now.0],
        )
        .await?;
        let mut events = 0;
        for day in &self.days {
            events += self.count(tx, &server, day).await?;
        }
        self.note(tx, &server, events).await?;
        Ok(Came::Now(SlowServerId(server.id), events))
    }
}

/// For clocks that differ.
const A_DAY: i64 = 86_400_000_000;

impl MailImport {
    /// Its number was counted, of another mail.
    async fn contradicts(&self, tx: &Tx, server: &Server) -> StoreResult<Came> {
        let text = format!(
            "another mail {} of its spool came, with other contents: was that spool restored from a backup?",
            self.mail.sequence
        );
        self.tell(tx, server, "slow_server.contradiction", text).await?;
        Ok(Came::AsAnother(SlowServerId(server.id)))
    }

    /// The server, made if it is new. `guest-7` is guest 7, if there is one.
    async fn server(&self, tx: &Tx) -> StoreResult<Server> {
        let sql = "SELECT s.id, s.guest_id, g.account_id, a.keeps_sample_values, s.last_mail_at, s.usual_pause, s.silent_since, s.late_since, \
            s.logging_told_at FROM slow_servers s LEFT JOIN guests g ON g.id = s.guest_id LEFT JOIN accounts a ON a.id = g.account_id WHERE s.node = $1";
        let known: Option<Server> = row(tx, sql, values![self.mail.node.as_str()]).await?;
        if let Some(server) = known.filter(|server| server.guest_id.is_some() || self.guest().is_none()) {
            return Ok(server);
        }
        let owner: Option<Owner> = match self.guest() {
            Some(guest) => {
                let sql = "SELECT g.account_id, a.keeps_sample_values FROM guests g JOIN accounts a ON a.id = g.account_id \
                    WHERE g.id = $1";
                row(tx, sql, values![guest.0]).await?
            }
            None => None,
        };
        let guest_id = owner.as_ref().and(self.guest()).map(|guest| guest.0);
        let sql = "SELECT id AS n FROM slow_servers WHERE node = $1";
        let id = match number(tx, sql, values![self.mail.node.as_str()]).await? {
            Some(id) => {
                execute(tx, "UPDATE slow_servers SET guest_id = $1 WHERE id = $2", values![guest_id, id]).await?;
                id
            }
            None => {
                insert(
                    tx,
                    "INSERT INTO slow_servers (node, guest_id, reported_name, first_mail_at, last_mail_at, usual_pause, mails, \
                     events, left_out, bytes) VALUES ($1, $2, $3, $4, $4, $5, 0, 0, 0, 0) RETURNING id AS n",
                    values![
                        self.mail.node.as_str(),
                        guest_id,
                        self.mail.reported_name.as_str(),
                        tx.now.0,
                        FIRST_PAUSE
                    ],
                )
                .await?
            }
        };
        Ok(Server {
            id,
            guest_id,
            account_id: owner.as_ref().map(|owner| owner.account_id),
            keeps_sample_values: owner.map(|owner| owner.keeps_sample_values),
            last_mail_at: tx.now.0,
            usual_pause: FIRST_PAUSE,
            silent_since: None,
            late_since: None,
            logging_told_at: None,
        })
    }

    fn guest(&self) -> Option<GuestId> {
        self.mail.node.strip_prefix("guest-")?.parse().ok().filter(|id| *id > 0).map(GuestId)
    }

    async fn spool(&self, tx: &Tx, server: i64) -> StoreResult<Spool> {
        let uuid = self.mail.spool.as_bytes().to_vec();
        let sql = "SELECT id, highest FROM slow_spools WHERE slow_server_id = $1 AND uuid = $2";
        if let Some(spool) = row(tx, sql, values![server, uuid.clone()]).await? {
            return Ok(spool);
        }
        let sql = "INSERT INTO slow_spools (slow_server_id, uuid, highest, last_mail_at) VALUES ($1, $2, 0, $3) \
            RETURNING id AS n";
        Ok(Spool { id: insert(tx, sql, values![server, uuid, tx.now.0]).await?, highest: 0 })
    }

    /// Writes down that this number has come. False if it had before.
    async fn closes(&self, tx: &Tx, server: &Server, spool: &Spool) -> StoreResult<bool> {
        let sequence = self.mail.sequence;
        let gap = async |first: i64, last: i64, since: i64, told: bool| {
            if first <= last {
                let sql = "INSERT INTO slow_gaps (slow_spool_id, first, last, since, told) VALUES ($1, $2, $3, $4, $5)";
                execute(tx, sql, values![spool.id, first, last, since, told]).await?;
            }
            StoreResult::Ok(())
        };
        if sequence > spool.highest {
            let sql = "UPDATE slow_spools SET highest = $1, last_mail_at = $2 WHERE id = $3";
            execute(tx, sql, values![sequence, tx.now.0, spool.id]).await?;
            gap(spool.highest + 1, sequence - 1, tx.now.0, false).await?;
            return Ok(true);
        }
        let sql = "SELECT id, first, last, since, told FROM slow_gaps WHERE slow_spool_id = $1 AND first <= $2 AND last >= $2";
        let Some(open) = row::<Gap>(tx, sql, values![spool.id, sequence]).await? else { return Ok(false) };
        if open.first == sequence {
            let sql = "UPDATE slow_gaps SET first = $1 WHERE id = $2";
            execute(tx, sql, values![sequence + 1, open.id]).await?;
        } else {
            execute(tx, "UPDATE slow_gaps SET last = $1 WHERE id = $2", values![sequence - 1, open.id])
                .await?;
            gap(sequence + 1, open.last, open.since, open.told).await?;
        }
        execute(tx, "DELETE FROM slow_gaps WHERE id = $1 AND first > last", values![open.id]).await?;
        if open.told {
            self.tell_of_closed_gaps(tx, server).await?;
        }
        Ok(true)
    }

    /// Says so when the last of the mails has come of which it was told that they were missing.
    async fn tell_of_closed_gaps(&self, tx: &Tx, server: &Server) -> StoreResult<()> {
        if told_gaps(tx, server.id).await? > 0 {
            return Ok(());
        }
        let resource = (ResourceKind::SlowServer, server.id, self.mail.node.as_str());
        let event = NewEvent::info("slow_server.complete", resource, "the mails that were missing have come");
        events::record(tx, event.of(server.account_id.map(AccountId))).await.map(drop)
    }

    /// Adds up the events of one day. Gives how many there are.
    async fn count(&self, tx: &Tx, server: &Server, day: &Day) -> StoreResult<u64> {
        let classes = day.digest.classes().iter().chain(day.digest.other());
        let classes: Vec<Summed<'_>> = classes.map(|class| Summed { class, total: class.total() }).collect();
        let sample_values = match server.keeps_sample_values {
            Some(true) => SampleValues::Kept,
            Some(false) | None => SampleValues::Redacted,
        };
        let ids = classes::bring_up_to_date(tx, server.id, day.begins, sample_values, &classes).await?;
        let mut additions: Vec<Addition> = Vec::new();
        let mut shares: HashMap<(i64, i64, String), (u64, u64)> = HashMap::new();
        let mut events = 0;
        for (Summed { class, total }, id) in classes.into_iter().zip(&ids) {
            events += total.count;
            additions.extend(class.periods().iter().map(|period| Addition {
                class: *id,
                span: periods::HOUR,
                // What was added up more coarsely than by the hour is not older than its day.
                begins: period.begins.unwrap_or(day.begins).max(day.begins),
                measures: period.measures.clone(),
            }));
            additions.push(Addition { class: *id, span: periods::DAY, begins: day.begins, measures: total });
            for (kind, by) in [(0, By::Database), (1, By::User), (2, By::Host)] {
                for share in day.digest.shares(class, by) {
                    let name = share.name.map_or_else(|| "(others)".to_owned(), text);
                    let sum = shares.entry((*id, kind, name)).or_default();
                    *sum = (sum.0 + share.count, sum.1.saturating_add(share.query_time));
                }
            }
        }
        periods::add(tx, additions).await?;
        let mut shares: Vec<_> = shares.into_iter().collect();
        shares.sort();
        for chunk in shares.chunks(ROWS) {
            let mut bound: Vec<Value> = Vec::with_capacity(chunk.len() * 6);
            for ((class, kind, name), (count, query_time)) in chunk {
                bound.extend(values![
                    *class,
                    day.begins,
                    *kind,
                    name.as_str(),
                    signed(*count),
                    signed(*query_time).min(MOST_TIME)
                ]);
            }
            let least = if is_postgres(tx) { "LEAST" } else { "MIN" };
            let sql = format!(
                "INSERT INTO slow_shares (slow_class_id, begins, kind, name, events, query_time) VALUES {} \
                 ON CONFLICT (slow_class_id, begins, kind, name) DO UPDATE SET events = slow_shares.events + excluded.events, \
                 query_time = {least}(slow_shares.query_time + excluded.query_time, {MOST_TIME})",
                placeholders(tx, chunk.len(), 6)
            );
            execute(tx, &sql, bound).await?;
        }
        Ok(events)
    }

    /// What the server's row says after this mail; and whether it is heard again, or its mails come late.
    async fn note(&self, tx: &Tx, server: &Server, events: u64) -> StoreResult<()> {
        let classes = self.days.iter().flat_map(|day| day.digest.classes().iter().chain(day.digest.other()));
        let periods = classes.flat_map(honcho_slowlog::Class::periods);
        let last_event: Option<i64> = periods.filter_map(|period| period.measures.last_seen).max();
        // The parts of one log come together: what lies between logs is what is usual.
        let pause = tx.now.0 - server.last_mail_at;
        let usual =
            if pause > 600_000_000 { (3 * server.usual_pause + pause) / 4 } else { server.usual_pause };
        let late = tx.now.0 - self.mail.cut_at > LATE;
        // One that came in time says nothing of one before it that has not come.
        let still = server.late_since.is_some() && is_waited_for(tx, server.id).await?;
        let late_since = if late || still { server.late_since.or(Some(tx.now.0)) } else { None };
        let later = if is_postgres(tx) { "GREATEST" } else { "MAX" };
        let sql = format!(
            "UPDATE slow_servers SET reported_name = $1, last_mail_at = $2, \
             last_event_at = {later}(COALESCE(last_event_at, $3), COALESCE($3, last_event_at)), usual_pause = $4, \
             mails = mails + 1, events = events + $5, left_out = left_out + $6, bytes = bytes + $7, silent_since = NULL, \
             late_since = $8, known_until = {later}(known_until, $9), unlooked_since = COALESCE(unlooked_since, $2) WHERE id = $10"
        );
        let name = self.mail.reported_name.as_str();
        execute(
            tx,
            &sql,
            values![
                name,
                tx.now.0,
                last_event,
                usual,
                signed(events),
                signed(self.mail.left_out),
                signed(self.mail.bytes),
                late_since,
                self.mail.cut_at.max(last_event.unwrap_or(i64::MIN)).min(tx.now.0),
                server.id
            ],
        )
        .await?;
        self.note_logging(tx, server).await?;
        if server.silent_since.is_some() {
            let resource = (ResourceKind::SlowServer, server.id, self.mail.node.as_str());
            let event = NewEvent::info("slow_server.heard", resource, "sends its slow logs again");
            events::record(tx, event.of(server.account_id.map(AccountId))).await?;
        }
        if late && server.late_since.is_none() {
            let hours = (tx.now.0 - self.mail.cut_at) / 3_600_000_000;
            let text = format!("a mail of it took {hours} h to come: look at the mail queues on its way");
            self.tell(tx, server, "slow_server.late", text).await?;
        }
        Ok(())
    }

    /// What the server logs as slow; mails come out of order, and the one that was cut last counts.
    async fn note_logging(&self, tx: &Tx, server: &Server) -> StoreResult<()> {
        let Some(logging) = self.mail.logging else { return Ok(()) };
        // Of a clock that is ahead no more is believed than that it is now.
        let told_at = self.mail.cut_at.min(tx.now.0);
        if server.logging_told_at.is_some_and(|before| before > told_at) {
            return Ok(());
        }
        let sql = "UPDATE slow_servers SET long_query_time = $1, log_queries_not_using_indexes = $2, log_slow_rate_limit = $3, \
            logging_told_at = $4 WHERE id = $5";
        let bound = values![
            logging.long_query_time.map(signed),
            logging.queries_not_using_indexes,
            logging.rate_limit.map(signed),
            told_at,
            server.id
        ];
        execute(tx, sql, bound).await.map(drop)
    }

    async fn tell(&self, tx: &Tx, server: &Server, kind: &str, text: String) -> StoreResult<()> {
        let resource = (ResourceKind::SlowServer, server.id, self.mail.node.as_str());
        let event = NewEvent::info(kind, resource, text).alarm().of(server.account_id.map(AccountId));
        events::record(tx, event).await.map(drop)
    }
}
