//! Views that people name for themselves: save, forget. They change nothing that anybody else sees, so no event tells of them.

use super::problems::Problems;
use honcho_model::PersonId;
use honcho_store::{Change, Refusal, StoreResult, Tx, saved_views};

/// So many a person can have.
const MOST: i64 = 50;

/// The longest name, in characters.
const LONGEST: usize = 60;

/// Saves a view under a name, in place of the one that had it.
pub(crate) struct ViewSave {
    pub(crate) person: PersonId,
    pub(crate) name: String,
    /// The filters, as they stand in an address.
    pub(crate) query: String,
}

impl Change for ViewSave {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        let mut problems = Problems::default();
        let name = self.name.trim();
        let name = problems.needed("name", Some(name).filter(|name| !name.is_empty()));
        let name = name.and_then(|name| problems.check("name", honcho_model::text::line_of(name, LONGEST)));
        problems.none()?;
        let Some(name) = name else { return Err(Refusal::invalid("name", "can't be blank").into()) };
        let own = saved_views::of_person(tx, self.person).await?;
        let is_new = own.iter().all(|view| view.name != name);
        if is_new && saved_views::count(tx, self.person).await? >= MOST {
            return Err(
                Refusal::invalid("name", format!("you have {MOST} views already: forget one first")).into()
            );
        }
        saved_views::save(tx, self.person, name, &self.query).await
    }
}

/// Forgets one.
pub(crate) struct ViewForget {
    pub(crate) person: PersonId,
    pub(crate) id: i64,
}

impl Change for ViewForget {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        if saved_views::delete(tx, self.person, self.id).await? {
            return Ok(());
        }
        Err(Refusal::NotFound("view").into())
    }
}
