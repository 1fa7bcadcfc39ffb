//! What the databases of the demonstration are slow at, each for a reason that advice can find.

use super::slow_logs::DAY;
use rand::Rng as _;
use rand::rngs::StdRng;

/// What a kind of query does as the month goes by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Course {
    /// Nothing.
    Steady,
    /// It takes more time day by day, until it takes so many times as long as at first.
    Grows(f64),
    /// It takes so many times as long since the release.
    WorseBy(f64),
    /// It took so many times as long before the release, which came with an index.
    BetterBy(f64),
    /// It is asked since the release alone.
    New,
}

/// Queries that are alike.
pub(super) struct Kind {
    /// How often an hour of a usual day.
    pub(super) hourly: f64,
    /// How long one takes, in the middle.
    pub(super) seconds: f64,
    /// Of that, how much it waits for locks.
    pub(super) locked: f64,
    /// Rows read.
    pub(super) examined: u32,
    /// Rows sent.
    pub(super) sent: u32,
    /// Whether it reads a whole table,
    pub(super) full_scan: bool,
    /// makes a temporary one,
    pub(super) temporary: bool,
    /// sorts.
    pub(super) filesort: bool,
    pub(super) user: &'static str,
    pub(super) course: Course,
    /// How many one connection asks within a second.
    pub(super) burst: u32,
    pub(super) statement: fn(&mut StdRng, i64) -> String,
}

const USUAL: Kind = Kind {
    hourly: 1.0,
    seconds: 0.5,
    locked: 0.0,
    examined: 1_000,
    sent: 20,
    full_scan: false,
    temporary: false,
    filesort: false,
    user: "shop",
    course: Course::Steady,
    burst: 1,
    statement: |_, _| String::new(),
};

/// What a database is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trade {
    Shop,
    Newspaper,
    Forum,
}

impl Trade {
    /// As its database is called.
    pub(super) fn database(self) -> &'static str {
        match self {
            Trade::Shop => "shop",
            Trade::Newspaper => "news",
            Trade::Forum => "forum",
        }
    }

    /// What its database is slow at.
    pub(super) fn kinds(self) -> Vec<Kind> {
        match self {
            Trade::Shop => shop(),
            Trade::Newspaper => newspaper(),
            Trade::Forum => forum(),
        }
    }
}

fn id(random: &mut StdRng, most: u32) -> u32 {
    random.random_range(1..=most)
}

fn word(random: &mut StdRng) -> &'static str {
    const WORDS: [&str; 12] = [
        "lamp", "bicycle", "teapot", "raincoat", "hammer", "notebook", "saddle", "kettle", "ladder",
        "blanket", "compass", "whistle",
    ];
    WORDS[random.random_range(0..WORDS.len())]
}

fn email(random: &mut StdRng) -> String {
    format!("{}.{}@example.net", word(random), id(random, 90_000))
}

/// A day, as SQL has it.
fn date(at: i64) -> String {
    jiff::Timestamp::from_second(at).map(|at| at.strftime("%Y-%m-%d").to_string()).unwrap_or_default()
}

#[expect(clippy::too_many_lines, reason = "a catalogue")]
fn shop() -> Vec<Kind> {
    vec![
        Kind {
            hourly: 14.0,
            seconds: 1.4,
            examined: 412_000,
            sent: 4,
            full_scan: true,
            filesort: true,
            course: Course::Grows(1.6),
            statement: |random, _| {
                format!(
                    "SELECT id, status, total, created_at FROM orders WHERE customer_email = '{}' ORDER BY created_at DESC LIMIT 20",
                    email(random)
                )
            },
            ..USUAL
        },
        Kind {
            hourly: 1.2,
            seconds: 0.014,
            examined: 1,
            sent: 1,
            burst: 32,
            statement: |random, _| {
                format!("SELECT id, name, price, stock FROM products WHERE id = {}", id(random, 40_000))
            },
            ..USUAL
        },
        Kind {
            hourly: 5.0,
            seconds: 0.9,
            examined: 40_000,
            sent: 30,
            full_scan: true,
            statement: |random, _| {
                format!("SELECT id, name, price FROM products WHERE name LIKE '%{}%' LIMIT 30", word(random))
            },
            ..USUAL
        },
        Kind {
            hourly: 1.0,
            seconds: 2.2,
            examined: 412_000,
            sent: 1,
            full_scan: true,
            user: "reports",
            statement: |_, at| {
                format!(
                    "SELECT COUNT(*), SUM(total) FROM orders WHERE DATE(created_at) = '{}'",
                    date(at - DAY)
                )
            },
            ..USUAL
        },
        Kind {
            hourly: 4.0,
            seconds: 0.25,
            examined: 5_400,
            sent: 12,
            course: Course::WorseBy(3.4),
            statement: |random, _| {
                format!(
                    "SELECT c.id, c.quantity, p.name FROM cart_lines c JOIN products p ON p.id = c.product_id WHERE c.session = '{:016x}' AND p.visible = 1",
                    random.random::<u64>()
                )
            },
            ..USUAL
        },
        Kind {
            hourly: 5.0,
            seconds: 0.7,
            examined: 96_000,
            sent: 15,
            course: Course::New,
            full_scan: true,
            statement: |random, _| {
                format!(
                    "SELECT w.id, w.title, w.updated_at FROM wishlists w WHERE w.shared_token = '{:016x}' AND w.deleted_at IS NULL",
                    random.random::<u64>()
                )
            },
            ..USUAL
        },
        Kind {
            hourly: 4.0,
            seconds: 0.3,
            examined: 8_000,
            sent: 8,
            course: Course::BetterBy(4.5),
            statement: |random, _| {
                format!(
                    "SELECT number, due_on, amount FROM invoices WHERE customer_id = {} AND paid_at IS NULL ORDER BY due_on",
                    id(random, 60_000)
                )
            },
            ..USUAL
        },
        Kind {
            hourly: 3.0,
            seconds: 1.1,
            locked: 0.92,
            examined: 1,
            sent: 0,
            statement: |random, _| {
                format!("UPDATE stock SET reserved = reserved + 1 WHERE sku = 'SKU-{:05}'", id(random, 400))
            },
            ..USUAL
        },
        Kind {
            hourly: 0.5,
            seconds: 1.7,
            examined: 130_000,
            sent: 60,
            temporary: true,
            user: "reports",
            statement: |random, _| {
                format!(
                    "SELECT category_id, COUNT(*) AS sold, SUM(quantity * price) AS turnover FROM order_lines WHERE warehouse_id = {} GROUP BY category_id ORDER BY turnover DESC",
                    id(random, 4)
                )
            },
            ..USUAL
        },
        Kind {
            hourly: 0.3,
            seconds: 0.8,
            examined: 1_200,
            sent: 1_200,
            user: "import",
            statement: |random, _| {
                let ids: Vec<String> = (0..1_200).map(|_| id(random, 400_000).to_string()).collect();
                format!("SELECT id, external_id FROM products WHERE external_id IN ({})", ids.join(", "))
            },
            ..USUAL
        },
    ]
}

fn newspaper() -> Vec<Kind> {
    vec![
        Kind {
            hourly: 6.0,
            seconds: 1.3,
            examined: 48_000,
            sent: 20,
            filesort: true,
            user: "web",
            statement: |random, _| {
                format!(
                    "SELECT id, title, teaser FROM articles ORDER BY published_at DESC LIMIT 20 OFFSET {}",
                    20 * id(random, 2_400)
                )
            },
            ..USUAL
        },
        Kind {
            hourly: 8.0,
            seconds: 0.6,
            examined: 70_000,
            sent: 12,
            full_scan: true,
            user: "web",
            course: Course::Grows(1.3),
            statement: |random, _| {
                format!(
                    "SELECT * FROM comments WHERE article_id = {} AND approved = 1 ORDER BY posted_at",
                    id(random, 30_000)
                )
            },
            ..USUAL
        },
        Kind {
            hourly: 2.0,
            seconds: 1.0,
            examined: 55_000,
            sent: 3,
            full_scan: true,
            user: "web",
            statement: |random, _| {
                format!(
                    "SELECT id, title FROM articles WHERE author_id = {} OR editor_id = {}",
                    id(random, 80),
                    id(random, 80)
                )
            },
            ..USUAL
        },
        Kind {
            hourly: 1.5,
            seconds: 0.4,
            examined: 3_000,
            sent: 10,
            user: "web",
            course: Course::WorseBy(2.6),
            statement: |random, _| {
                format!(
                    "SELECT t.name, COUNT(*) AS used FROM article_tags a JOIN tags t ON t.id = a.tag_id WHERE a.section_id = {} GROUP BY t.name ORDER BY used DESC LIMIT 10",
                    id(random, 14)
                )
            },
            ..USUAL
        },
    ]
}

fn forum() -> Vec<Kind> {
    vec![
        Kind {
            hourly: 3.0,
            seconds: 0.8,
            examined: 90_000,
            sent: 25,
            full_scan: true,
            user: "forum",
            statement: |random, _| {
                format!(
                    "SELECT p.id, p.body, u.nick FROM posts p, users u WHERE p.thread_id = {} AND u.id = p.user_id ORDER BY p.id",
                    id(random, 9_000)
                )
            },
            ..USUAL
        },
        Kind {
            hourly: 1.0,
            seconds: 0.5,
            examined: 20_000,
            sent: 1,
            full_scan: true,
            user: "forum",
            statement: |random, _| {
                format!(
                    "SELECT id, nick FROM users WHERE LOWER(nick) = '{}{}'",
                    word(random),
                    id(random, 999)
                )
            },
            ..USUAL
        },
        Kind {
            hourly: 0.6,
            seconds: 1.9,
            examined: 260_000,
            sent: 0,
            full_scan: true,
            user: "cron",
            statement: |_, at| format!("DELETE FROM sessions WHERE last_seen < {}", at - 14 * DAY),
            ..USUAL
        },
    ]
}
