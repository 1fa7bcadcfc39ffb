//! Where guests go and why; what would fit; plans to empty hosts and to spread guests more evenly.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a guest went, or would go, and why. Customers are shown that it was placed, and nothing of the machine room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Placement {
    /// Which guest; null for one that is not made.
    pub guest_id: Option<i64>,
    /// Whether a host was found.
    pub placed: bool,
    /// The host.
    pub host_id: Option<i64>,
    /// Its name then.
    pub host: Option<String>,
    /// The pool of its disk.
    pub pool_id: Option<i64>,
    /// When it was decided; null where nobody knows: the guest is older than the keeping of decisions.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub decided_at: Option<Timestamp>,
    /// What the decision was made from: the brain's incarnation, and how far its books went then.
    pub inputs: Option<String>,
    /// Why there is no host.
    pub reason: Option<String>,
    /// How many hosts each filter refused.
    pub refused: Option<Vec<PlacementCount>>,
    /// The ten best hosts, the best first.
    pub best: Option<Vec<PlacementHost>>,
    /// Every host: those that can take it from the best, then those that cannot. Of a dry run only.
    pub hosts: Option<Vec<PlacementHost>>,
}

/// How many hosts a filter refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlacementCount {
    /// `wanted`, `enabled`, `duty`, `draining`, `capability`, `network`, `memory`, `disk`, `vcpus`, `anti_affinity`,
    /// `failure_domain` or `n_plus_one`.
    pub filter: String,
    /// How many.
    pub hosts: i64,
}

/// What a host was told about a guest. It has a score, or a filter that refused it and a reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlacementHost {
    /// Which.
    pub host_id: i64,
    /// Its name.
    pub host: String,
    /// The lower, the more evenly would guests be spread with this one here.
    pub score: Option<f64>,
    /// Part of the score: the standard deviation over all hosts of the share of free memory.
    pub memory_spread: Option<f64>,
    /// The same of disk.
    pub disk_spread: Option<f64>,
    /// The same of vCPUs per processor.
    pub vcpus_spread: Option<f64>,
    /// The same of load.
    pub load_spread: Option<f64>,
    /// Part of the score: for guests of the same account on this host.
    pub owner_part: Option<f64>,
    /// Which filter refused it.
    pub filter: Option<String>,
    /// Why, by how much.
    pub reason: Option<String>,
}

/// How many more guests of a size fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Capacity {
    /// How many.
    pub fit: i64,
    /// How many, if every host's guests are to stay restartable elsewhere.
    pub fit_with_n_plus_one: i64,
    /// Whether even more fit than `fit` says: nobody counts beyond 1,000,000.
    #[serde(default)]
    pub capped: bool,
    /// What ends first: of the hosts that could run one, how many are full of what once no more fit.
    pub runs_out: Vec<PlacementCount>,
    /// The host that is thought lost.
    pub lost_host_id: Option<i64>,
    /// How many of its guests could be restarted elsewhere; `fit` is what fits besides.
    pub restarted: Option<i64>,
    /// Those that could not.
    pub homeless: Option<Vec<Homeless>>,
}

/// A guest that fits nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Homeless {
    /// Which.
    pub guest_id: i64,
    /// Its name.
    pub guest: String,
    /// Why.
    pub reason: String,
}

/// A move of a guest to another host, as it is planned or ordered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedMove {
    /// Which guest.
    pub guest_id: i64,
    /// Its name.
    pub guest: String,
    /// Whose it is.
    pub account_id: i64,
    /// Where it is.
    pub from_host_id: i64,
    /// Its name.
    pub from_host: String,
    /// Where it would go.
    pub to_host_id: i64,
    /// Its name.
    pub to_host: String,
    /// What would be copied, in bytes.
    pub copied_bytes: i64,
    /// The score of the fleet once it is there; null where none is reckoned.
    pub score_after: Option<f64>,
    /// The operation that moves it; null where this is a plan, and where the guest cannot be moved any more.
    pub operation_id: Option<i64>,
}

/// How a host would be emptied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Drain {
    /// Which host.
    pub host_id: i64,
    /// Its name.
    pub host: String,
    /// Since when it takes no new guest; null if it does.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub draining_since: Option<Timestamp>,
    /// Where its guests would go, in an order in which each fits when its turn comes.
    pub moves: Vec<PlannedMove>,
    /// Those that fit nowhere.
    pub homeless: Vec<Homeless>,
}

/// Moves that would spread guests more evenly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Balance {
    /// The score as it is; 0 is perfect.
    pub score_before: f64,
    /// The score after the last move.
    pub score_after: f64,
    /// The moves, in an order each of whose steps is legal.
    pub moves: Vec<PlannedMove>,
}

/// What a move would come to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GuestMoveTrial {
    /// Which guest.
    pub guest_id: i64,
    /// Its name.
    pub guest: String,
    /// Where it is.
    pub from_host_id: i64,
    /// Its name.
    pub from_host: String,
    /// Where it would go.
    pub to_host_id: i64,
    /// Its name.
    pub to_host: String,
    /// How large the disk is that would be copied, in bytes; what is empty of it is not sent.
    pub copied_bytes: i64,
    /// Whether it runs, and would be stopped first.
    pub stops: bool,
    /// What would become of it meanwhile, in words.
    pub said: String,
    /// Why it would go there.
    pub placement: Placement,
}
