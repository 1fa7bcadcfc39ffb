//! Ordering a cluster: all its guests are checked, placed and given their addresses in one transaction, or none is.

use super::guest_order::{self, Order, Uuids};
use super::problems::Problems;
use super::quotas::{self, Extra};
use crate::outside::Outside;
use crate::placing::{self, Decided, Standing, Together, Told};
use honcho_api::{Cluster, ClusterGuestPlacement, ClusterPlacement, ClusterRoleCreate, InterfaceCreate};
use honcho_model::event::ResourceKind;
use honcho_model::{AccountId, Bytes, Name};
use honcho_placement::Rules;
use honcho_store::clusters::NewCluster;
use honcho_store::events::{self, NewEvent};
use honcho_store::{
    Change, Refusal, Scope, StoreError, StoreResult, Turn, Tx, accounts, clusters, placements,
};
use std::collections::BTreeSet;

/// Nobody else is given room or addresses while it is made.
const MOST_GUESTS: usize = 100;

/// Makes a cluster, with all its guests.
pub(crate) struct ClusterCreate {
    pub(crate) scope: Scope,
    /// Draws the random names of what is made.
    pub(crate) outside: Outside,
    pub(crate) body: honcho_api::ClusterCreate,
    /// What placing holds to.
    pub(crate) rules: Rules,
    /// What it decides by.
    pub(crate) standing: Standing,
}

/// What was asked for, checked.
struct Plan {
    account: AccountId,
    name: Name,
    /// Every guest, with its role.
    orders: Vec<(Name, Order)>,
}

impl Change for ClusterCreate {
    type Out = Cluster;
    const TURN: Turn = Turn::Room;

    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Cluster> {
        if let Some(known) = self.already(tx).await? {
            return Ok(known);
        }
        let plan = self.check(tx).await?;
        let decided = self.decide(tx, &plan).await?;
        let decided = decided.map_err(|together| StoreError::from(self.refused(&plan, &together)))?;
        self.make(tx, plan, &decided).await
    }
}

/// Tries an order, for [`honcho_store::Store::rehearse`]: gives where each guest would go and why. An operator is told so
/// also where they do not all find a place.
pub(crate) struct ClusterTrial(pub(crate) ClusterCreate);

impl Change for ClusterTrial {
    type Out = ClusterPlacement;
    const TURN: Turn = Turn::Room;

    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<ClusterPlacement> {
        let create = &self.0;
        let plan = create.check(tx).await?;
        let inputs = placements::inputs(tx).await?;
        let at = jiff::Timestamp::from_microsecond(tx.now.0).unwrap_or_default();
        let shown = |index: usize, decided: &Decided| {
            let told = if create.scope.is_operator() { Told::Whole } else { Told::Kept };
            let placement = decided.shown(None, at, &inputs, told);
            let (role, order) = &plan.orders[index];
            ClusterGuestPlacement {
                name: order.name.to_string(),
                role: role.to_string(),
                placement: if create.scope.is_operator() {
                    placement
                } else {
                    placing::for_customers(&placement)
                },
            }
        };
        let name = plan.name.to_string();
        match create.decide(tx, &plan).await? {
            Ok(decided) => {
                let guests = decided.iter().enumerate().map(|(index, one)| shown(index, one)).collect();
                create.make(tx, plan, &decided).await?;
                Ok(ClusterPlacement { name, placed: true, reason: None, guests })
            }
            Err(together) if create.scope.is_operator() => {
                let placed = together.placed.iter().map(|(index, one)| (*index, one));
                let mut all: Vec<_> = placed.chain([(together.lacking, &together.decided)]).collect();
                all.sort_unstable_by_key(|(index, _)| *index);
                Ok(ClusterPlacement {
                    name,
                    placed: false,
                    reason: Some(create.lacking(&plan, &together).join("; ")),
                    guests: all.into_iter().map(|(index, one)| shown(index, one)).collect(),
                })
            }
            Err(together) => Err(create.refused(&plan, &together).into()),
        }
    }
}

impl ClusterCreate {
    /// A repeated POST with the same reference answers with the same cluster.
    async fn already(&self, tx: &Tx) -> StoreResult<Option<Cluster>> {
        let mut problems = Problems::default();
        let reference = problems.line("reference", self.body.reference.as_deref());
        problems.none()?;
        let account = guest_order::account_of(self.scope, self.body.account_id);
        let (Some(reference), Some(account)) = (reference, account) else { return Ok(None) };
        // Of an account that the caller may not see, no cluster is given out either.
        let mut problems = Problems::default();
        match problems.found("account_id", accounts::get(tx, self.scope, account).await)? {
            Some(_) => clusters::by_reference(tx, account, reference).await,
            None => Ok(None),
        }
    }

    async fn check(&self, tx: &Tx) -> StoreResult<Plan> {
        let mut problems = Problems::default();
        let name = problems.name(self.body.name.as_deref());
        let account = guest_order::check_account(tx, self.scope, self.body.account_id, &mut problems).await?;
        let roles = self.body.roles.as_deref().unwrap_or_default();
        if names_addresses(self.body.interfaces.as_deref()) {
            problems.add("interfaces", "names an address, which one guest has: say it of its role");
        }
        let named = name.as_ref().map(|cluster| named_guests(cluster, roles, &mut problems));
        let (Some(name), Some(account), Some(named)) = (name, account, named) else {
            return Err(problems.into());
        };
        let account = AccountId(account.id);
        if clusters::living(tx, account, &name).await?.is_some() {
            problems.add("name", "is taken");
        }
        problems.none()?;
        let (mut orders, mut problems) = (Vec::new(), Problems::default());
        for (role, word, names) in named {
            // One is checked for all of its role, which differ in their names alone.
            let body = body_of(&self.body, &name, role, &word, &names[0]);
            match guest_order::check(tx, self.scope, &body).await {
                Ok(order) => {
                    orders.extend(names.into_iter().map(|name| (word.clone(), order.named(name))));
                }
                Err(StoreError::Refused(Refusal::Invalid(errors))) => {
                    for (attribute, reasons) in errors {
                        for reason in reasons {
                            problems.add("roles", of_role(&word, &attribute, &reason));
                        }
                    }
                }
                Err(error) => return Err(error),
            }
        }
        problems.none()?;
        let plan = Plan { account, name, orders };
        quotas::check(tx, account, plan.extra()).await?;
        Ok(plan)
    }

    /// Where all of them go, as everything stands in this transaction.
    async fn decide(&self, tx: &Tx, plan: &Plan) -> StoreResult<Result<Vec<Decided>, Box<Together>>> {
        let now = self.standing.now(tx, self.rules).await?;
        let mut problems = Problems::default();
        for (_, order) in &plan.orders {
            problems.check("base", placing::carried(now.rooms(), &order.kinds));
            // Every further guest would say the same.
            if !problems.is_empty() {
                break;
            }
        }
        problems.none()?;
        let requests = plan.orders.iter().map(|(_, order)| order.request(&now)).collect();
        now.decide_all(requests).await
    }

    fn refused(&self, plan: &Plan, together: &Together) -> Refusal {
        Refusal::Invalid([("base".to_owned(), self.lacking(plan, together))].into())
    }

    /// Which guest finds no place, and why, in the words that the caller may hear.
    fn lacking(&self, plan: &Plan, together: &Together) -> Vec<String> {
        let (role, order) = &plan.orders[together.lacking];
        let whole = plan.orders.len();
        let first = match together.placed.len() {
            0 => format!("no room for {} (role {role}), the first of {whole} guests", order.name),
            placed => {
                format!(
                    "no room for {} (role {role}), once {placed} of {whole} guests are placed",
                    order.name
                )
            }
        };
        let whole = format!("{first}; nothing was made");
        std::iter::once(whole).chain(together.decided.refused(self.scope)).collect()
    }

    async fn make(&self, tx: &Tx, plan: Plan, decided: &[Decided]) -> StoreResult<Cluster> {
        let new = NewCluster {
            uuid: self.outside.uuid(),
            account: plan.account,
            name: &plan.name,
            reference: self.body.reference.as_deref(),
        };
        let id = clusters::create(tx, &new).await?;
        let count = plan.orders.len();
        for ((role, order), decided) in plan.orders.into_iter().zip(decided) {
            let name = order.name.clone();
            let uuids = Uuids { guest: self.outside.uuid(), volume: self.outside.uuid(), cluster: new.uuid };
            let made = order.make(tx, self.scope, uuids, decided).await;
            let made = made.map_err(|error| of_guest(error, &role, &name))?;
            guest_order::made(tx, made).await?;
        }
        let cluster = clusters::get(tx, Scope::System, id).await?;
        let resource = (ResourceKind::Cluster, cluster.id, cluster.name.as_str());
        let text = format!("was ordered, with {count} guests");
        let event = NewEvent::info("cluster.create", resource, &text).of(Some(plan.account));
        events::record(tx, event.change(None, serde_json::to_value(&cluster).ok())).await?;
        Ok(cluster)
    }
}

impl Plan {
    /// What all of them take of the account's quotas.
    fn extra(&self) -> Extra {
        self.orders.iter().map(|(_, order)| order.extra()).fold(Extra::default(), |sum, one| Extra {
            guests: sum.guests + one.guests,
            vcpus: sum.vcpus + one.vcpus,
            memory: Bytes(sum.memory.0.saturating_add(one.memory.0)),
            disk: Bytes(sum.disk.0.saturating_add(one.disk.0)),
            public_addresses: 0,
            images: Bytes(0),
        })
    }
}

/// Each role, with the names of its guests: those that are given, or `shop-front-1` and so on, which no other cluster of the
/// account has.
fn named_guests<'a>(
    cluster: &Name,
    roles: &'a [ClusterRoleCreate],
    problems: &mut Problems,
) -> Vec<(&'a ClusterRoleCreate, Name, Vec<Name>)> {
    let (mut found, mut words, mut taken) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    if roles.is_empty() {
        problems.add("roles", "can't be blank: it has one at least, and a guest in it");
    }
    let mut total = 0_usize;
    for role in roles {
        let word = problems.needed("roles", role.role.as_deref());
        let Some(word) = word.and_then(|word| problems.check("roles", Name::new(word))) else { continue };
        if !words.insert(word.clone()) {
            problems.add("roles", format!("names {word} twice"));
            continue;
        }
        let given = role.names.as_deref().unwrap_or_default();
        let count = match role.count {
            None => given.len(),
            Some(count) => usize::try_from(count).unwrap_or(0),
        };
        total = total.saturating_add(count);
        if count == 0 {
            problems.add("roles", format!("{word}: count must be 1 at least"));
        }
        if !given.is_empty() && given.len() != count {
            problems.add("roles", format!("{word}: {count} guests, and {} names", given.len()));
        }
        if total > MOST_GUESTS {
            break;
        }
        let numbered = |number: usize| format!("{cluster}-{word}-{number}");
        let texts = if given.is_empty() { (1..=count).map(numbered).collect() } else { given.to_vec() };
        let mut names = Vec::new();
        for text in texts {
            match Name::new(&text) {
                Ok(name) if taken.insert(name.clone()) => names.push(name),
                Ok(name) => problems.add("roles", format!("{word}: names {name} twice")),
                Err(why) => {
                    problems.add("roles", format!("{word}: name {text:?} {why}"));
                    // The next ones are as wrong as this one, which is told once.
                    break;
                }
            }
        }
        if count > 1 && names_addresses(role.interfaces.as_deref()) {
            problems
                .add("roles", format!("{word}: {count} guests cannot have the one address that is named"));
        }
        if !names.is_empty() {
            found.push((role, word, names));
        }
    }
    if total > MOST_GUESTS {
        problems.add("roles", format!("must be {MOST_GUESTS} guests at most: order further ones one by one"));
    }
    found
}

fn names_addresses(cards: Option<&[InterfaceCreate]>) -> bool {
    cards
        .unwrap_or_default()
        .iter()
        .any(|card| card.address.is_some() || card.address6.is_some() || card.address_id.is_some())
}

/// The order of one guest: what its role says, and what the whole says where that is silent.
fn body_of(
    whole: &honcho_api::ClusterCreate,
    cluster: &Name,
    role: &ClusterRoleCreate,
    word: &Name,
    name: &Name,
) -> honcho_api::GuestCreate {
    // A role that says in which networks it is says all of them.
    let own = role.network_id.is_some() || role.interfaces.is_some();
    let (network_id, interfaces) = if own {
        (role.network_id, role.interfaces.clone())
    } else {
        (whole.network_id, whole.interfaces.clone())
    };
    honcho_api::GuestCreate {
        account_id: whole.account_id,
        name: Some(name.to_string()),
        reference: None,
        image_id: role.image_id.or(whole.image_id),
        network_id,
        interfaces,
        vcpus: role.vcpus.or(whole.vcpus),
        memory_bytes: role.memory_bytes.or(whole.memory_bytes),
        disk_bytes: role.disk_bytes.or(whole.disk_bytes),
        ssh_keys: role.ssh_keys.clone().or_else(|| whole.ssh_keys.clone()),
        power: role.power.or(whole.power),
        start_alone: role.start_alone.or(whole.start_alone),
        host_id: None,
        site_id: role.site_id.or(whole.site_id),
        cpu_features: role.cpu_features.clone().or_else(|| whole.cpu_features.clone()),
        cluster: Some(cluster.to_string()),
        role: Some(word.to_string()),
    }
}

/// "app: `memory_bytes` can't be blank".
fn of_role(role: &Name, attribute: &str, reason: &str) -> String {
    if attribute == "base" { format!("{role}: {reason}") } else { format!("{role}: {attribute} {reason}") }
}

/// What is wrong with one guest, as what is wrong with its role.
fn of_guest(error: StoreError, role: &Name, name: &Name) -> StoreError {
    let StoreError::Refused(Refusal::Invalid(errors)) = error else { return error };
    let mut problems = Problems::default();
    for (attribute, reasons) in errors {
        for reason in reasons {
            problems.add("roles", format!("{} ({name})", of_role(role, &attribute, &reason)));
        }
    }
    problems.into()
}
