//! Tells of queries that are new or worse: an event for each, and a mail, each once for each occasion.

use crate::slow::words;
use honcho_api::SlowQuery;
use honcho_model::event::ResourceKind;
use honcho_model::{AccountId, SlowQueryId};
use honcho_store::events::{self, NewEvent};
use honcho_store::slow::{self, Occasion, ToLookThrough, WeeklyReader};
use honcho_store::{Change, StoreResult, Tx, outgoing_mails};

/// Tells of what was found in the logs of a server.
pub(crate) struct SlowTell {
    pub(crate) server: ToLookThrough,
    /// New among the first.
    pub(crate) new: Vec<SlowQuery>,
    /// They take longer.
    pub(crate) worse: Vec<SlowQuery>,
    /// Where a mail goes.
    pub(crate) mail_to: Option<String>,
}

impl SlowTell {
    /// Makes events of those that nobody was told of, and gives them.
    async fn tell<'a>(
        &self,
        tx: &Tx,
        queries: &'a [SlowQuery],
        occasion: Occasion,
    ) -> StoreResult<Vec<&'a SlowQuery>> {
        let (kind, said): (_, fn(&SlowQuery) -> String) = match occasion {
            Occasion::New => ("slow_query.new", words::is_new),
            Occasion::Worse => ("slow_query.worse", words::is_worse),
        };
        let mut told = Vec::new();
        for query in queries {
            if !slow::take_occasion(tx, SlowQueryId(query.id), occasion).await? {
                continue;
            }
            let name = slow::short_name(&query.fingerprint);
            let text = format!("on {} {}", self.server.node, said(query));
            let event = NewEvent::info(kind, (ResourceKind::SlowQuery, query.id, &name), text);
            let account = self.server.account_id.map(AccountId);
            // The event log outlives what an account takes back: it never holds a sample's values.
            let kept = SlowQuery { sample: query.fingerprint.clone(), ..query.clone() };
            events::record(tx, event.of(account).change(None, serde_json::to_value(kept).ok())).await?;
            told.push(query);
        }
        Ok(told)
    }
}

impl Change for SlowTell {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        if !slow::note_looked_through(tx, &self.server).await? {
            return Ok(());
        }
        let new = self.tell(tx, &self.new, Occasion::New).await?;
        let worse = self.tell(tx, &self.worse, Occasion::Worse).await?;
        if new.is_empty() && worse.is_empty() {
            return Ok(());
        }
        if let (Some(recipient), Some(account)) = (&self.mail_to, self.server.account_id) {
            let (subject, body) = words::news(&self.server.node, &new, &worse);
            outgoing_mails::write(tx, AccountId(account), recipient, &subject, &body).await?;
        }
        Ok(())
    }
}

/// Writes the mail of a week.
pub(crate) struct SlowWeek {
    pub(crate) reader: WeeklyReader,
    /// When the week began in which it is written.
    pub(crate) week: i64,
    /// Subject and text; none, if there is nothing to tell.
    pub(crate) mail: Option<(String, String)>,
}

impl Change for SlowWeek {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        let account = AccountId(self.reader.account_id);
        if !slow::take_week(tx, account, self.week).await? {
            return Ok(());
        }
        if let Some((subject, body)) = &self.mail {
            outgoing_mails::write(tx, account, &self.reader.mail_to, subject, body).await?;
        }
        Ok(())
    }
}
