//! Servers that send slow logs: what they are called, when their last log came, what is wrong with them.

use crate::app::App;
use crate::panel::failure::PanelResult;
use crate::panel::shown::{self, Badge, Moment};
use crate::panel::visitor::Visitor;
use honcho_api::SlowServer;
use honcho_model::{AccountId, SlowServerId};
use honcho_store::names::{self, Named};
use honcho_store::{Filters, Refusal, StoreError, accounts, slow};

/// A server, as it is shown.
pub(super) struct ServerRow {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) account: Option<(i64, String)>,
    pub(super) state: Badge,
    pub(super) why: String,
    pub(super) last: Moment,
    pub(super) ago: String,
    pub(super) events: String,
    pub(super) mails: String,
}

fn state(server: &SlowServer, app: &App) -> (Badge, String) {
    let since = |at: jiff::Timestamp| shown::moment(at, app.now()).short;
    if let Some(at) = server.silent_since {
        let text = format!("nothing has come for longer than is usual; noticed {}", since(at));
        return (Badge { word: "silent", tone: "bad" }, text);
    }
    if let Some(at) = server.missing_since {
        let mails = if server.missing_mails_count == 1 { "mail is" } else { "mails are" };
        let text = format!("{} {mails} missing since {}", server.missing_mails_count, since(at));
        return (Badge { word: "gaps", tone: "warn" }, text);
    }
    if let Some(at) = server.late_since {
        let text = format!("its mails take more than six hours since {}", since(at));
        return (Badge { word: "late", tone: "warn" }, text);
    }
    (Badge { word: "sending", tone: "good" }, String::new())
}

/// Servers as rows. One that is a guest is called as that is.
pub(super) async fn rows(app: &App, found: &[SlowServer]) -> PanelResult<Vec<ServerRow>> {
    let reader = app.store.reader();
    let guests = names::of(reader, Named::Guest, found.iter().filter_map(|server| server.guest_id)).await?;
    let accounts =
        names::of(reader, Named::Account, found.iter().filter_map(|server| server.account_id)).await?;
    let now = jiff::Timestamp::from_microsecond(app.now().0).unwrap_or_default();
    let row = |server: &SlowServer| {
        let (state, why) = state(server, app);
        let guest = server.guest_id.and_then(|id| guests.get(&id).cloned());
        ServerRow {
            id: server.id,
            name: guest.unwrap_or_else(|| server.node.clone()),
            account: server.account_id.and_then(|id| Some((id, accounts.get(&id)?.clone()))),
            state,
            why,
            last: shown::moment(server.last_mail_at, app.now()),
            ago: shown::span(server.last_mail_at, now),
            events: shown::count(server.events_count),
            mails: shown::count(server.mails_count),
        }
    };
    Ok(found.iter().map(row).collect())
}

/// Whose queries are looked at: all servers of an account, or one that is nobody's guest.
pub(super) struct Whose {
    /// The account.
    pub(super) account: Option<(i64, String)>,
    /// All servers that can be chosen.
    pub(super) all: Vec<SlowServer>,
    /// The page on which they are ranked.
    pub(super) path: String,
}

impl Whose {
    /// An account that the visitor may see.
    pub(super) async fn account(app: &App, visitor: &Visitor, id: i64) -> PanelResult<Whose> {
        let reader = app.store.reader();
        let account = accounts::get(reader, visitor.scope(), AccountId(id)).await?;
        let own = Filters::default().and("account_id", account.id);
        Ok(Whose {
            all: slow::list(reader, visitor.scope(), &own).await?,
            path: format!("/accounts/{id}/slow_queries"),
            account: Some((account.id, account.name)),
        })
    }

    /// A server that the visitor may see, or the account whose it is.
    pub(super) async fn server(app: &App, visitor: &Visitor, id: i64) -> PanelResult<Whose> {
        let server = slow::find(app.store.reader(), visitor.scope(), SlowServerId(id)).await?;
        match server.account_id {
            Some(account) => Whose::account(app, visitor, account).await,
            None => Ok(Whose { account: None, path: format!("/slow_servers/{id}"), all: vec![server] }),
        }
    }

    /// What they are called together.
    pub(super) fn name(&self) -> String {
        match (&self.account, self.all.first()) {
            (Some((_, name)), _) => name.clone(),
            (None, Some(server)) => server.node.clone(),
            (None, None) => String::new(),
        }
    }

    /// Those of them that are asked for, by the id in an address.
    pub(super) fn chosen(&self, id: &str) -> PanelResult<Vec<SlowServerId>> {
        let all = self.all.iter().map(|server| server.id);
        let chosen: Vec<SlowServerId> =
            all.filter(|own| id.is_empty() || own.to_string() == id).map(SlowServerId).collect();
        if chosen.is_empty() && !id.is_empty() {
            return Err(StoreError::from(Refusal::NotFound("slow server")).into());
        }
        Ok(chosen)
    }

    /// Where their marks are.
    pub(super) fn marks_path(&self) -> String {
        match (&self.account, self.all.first()) {
            (None, Some(server)) => format!("/slow_servers/{}/slow_marks", server.id),
            (account, _) => format!("/accounts/{}/slow_marks", account.as_ref().map_or(0, |(id, _)| *id)),
        }
    }

    /// Whether the visitor may change something here.
    pub(super) fn may_change(&self, visitor: &Visitor) -> bool {
        match &self.account {
            Some((id, _)) => visitor.may_change(*id),
            None => visitor.is_operator(),
        }
    }

    /// Their newest marks.
    pub(super) async fn marks(
        &self,
        app: &App,
        visitor: &Visitor,
        most: i64,
    ) -> PanelResult<Vec<honcho_api::SlowMark>> {
        let filters = Filters { limit: Some(most), descending: true, ..Filters::default() };
        let filters = match (&self.account, self.all.first()) {
            (Some((id, _)), _) => filters.and("account_id", id),
            (None, server) => filters.and("slow_server_id", server.map_or(0, |server| server.id)),
        };
        Ok(slow::marks(app.store.reader(), visitor.scope(), &filters).await?)
    }
}
