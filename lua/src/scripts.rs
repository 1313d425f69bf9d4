//! Rendering and loading of scripts, which bind a set of scripts to one state of one server.

use bytes::Bytes;
use contract::ids::{Epoch, SaleId};
use contract::keys::SaleKeys;
use contract::publication::ScriptDigests;
use sha1::{Digest, Sha1};

use crate::redis::{Redis, RedisError};

const COMMON: &str = include_str!("../scripts/common.lua");
const SEAL: &str = include_str!("../scripts/seal.lua");

/// The rendered scripts of one epoch.
pub struct Scripts {
    texts: [String; 6],
    /// The digests by which gateways call the scripts.
    pub digests: ScriptDigests,
}

impl Scripts {
    /// Renders the scripts: inserts the common head, with its four placeholders replaced, after each script's first
    /// line.
    pub fn render(sale: &SaleId, epoch: Epoch, mark: &str, replid: &str) -> Self {
        let head = COMMON
            .replace("@SALE@", sale.as_str())
            .replace("@EPOCH@", &epoch.to_string())
            .replace("@MARK@", mark)
            .replace("@REPLID@", replid);
        let render = |text: &str| {
            let text = fault::rewritten!("lost_check", text, "if lost(" => "if false and lost(");
            let (shebang, body) = text.split_once('\n').unwrap_or((&text, ""));
            let rendered = format!("{shebang}\n{head}\n{body}");
            let digest = Sha1::digest(rendered.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
            (rendered, digest)
        };
        let (reserve, reserve_digest) = render(&reserve_text());
        let (read_stock, read_stock_digest) = render(include_str!("../scripts/read_stock.lua"));
        let (find_orders, find_orders_digest) = render(include_str!("../scripts/find_orders.lua"));
        let (change_totals, change_totals_digest) = render(include_str!("../scripts/change_totals.lua"));
        let (ack_outbox, ack_outbox_digest) = render(include_str!("../scripts/ack_outbox.lua"));
        let (release, release_digest) = render(&release_text());
        Self {
            texts: [reserve, read_stock, find_orders, change_totals, ack_outbox, release],
            digests: ScriptDigests {
                reserve: reserve_digest,
                read_stock: read_stock_digest,
                find_orders: find_orders_digest,
                change_totals: change_totals_digest,
                ack_outbox: ack_outbox_digest,
                release: release_digest,
            },
        }
    }

    /// Loads the scripts into the server.
    pub async fn load(&self, redis: &Redis) -> Result<(), RedisError> {
        for text in &self.texts {
            redis.load(text).await?;
        }
        Ok(())
    }
}

/// Returns the text of `reserve.lua`. A build with fault injection can remove protections from it.
fn reserve_text() -> String {
    let text = include_str!("../scripts/reserve.lua");
    let text =
        fault::rewritten!("outbox_entry", text, "redis.pcall('XADD', KEYS[4]," => "string.len(KEYS[4],");
    let text = fault::rewritten!("stock_check", &text,
        "if left[index + 1] < quantity then" => "if false then",
        "left[index + 1] = left[index + 1] - quantity" => "left[index + 1] = math.max(0, left[index + 1] - quantity)");
    let text = fault::rewritten!("customer_limit", &text, "limit > 0 and live >= limit" => "false");
    let text = fault::rewritten!("replay_first", &text,
        "  for e = 1, #mine, ENTRY do" => "
  for l = 9, #lines, 6 do
    local index, quantity = struct.unpack('>I2I4', lines, l)
    if left[index + 1] < quantity then verdict = 'S' .. struct.pack('>I2I5', index, left[index + 1]) break end
  end
  for e = 1, verdict and 0 or #mine, ENTRY do");
    text.into_owned()
}

/// Returns the text of `release.lua`, from which a protection can be removed, too.
fn release_text() -> String {
    let text = include_str!("../scripts/release.lua");
    fault::rewritten!("release_rule", text, "if state[2] ~= ARGV[1] then" => "if false then").into_owned()
}

/// Returns the server's replication id. A different id means a different history of writes.
pub async fn replication_id(redis: &Redis) -> Result<String, RedisError> {
    let info: String = redis.command("INFO", vec![Bytes::from_static(b"replication")]).await?;
    let id = info.lines().find_map(|line| line.strip_prefix("master_replid:"));
    id.map(|id| id.trim().to_string()).ok_or(RedisError::UnexpectedReply("INFO"))
}

/// How much a rebuild has written, for [`seal`] to verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrittenCounts {
    /// The number of fields of the hash `stock`, without the mark.
    pub stock_fields: u64,
    /// The number of fields of the hash `buyers`.
    pub buyer_fields: u64,
    /// The size of the arrivals, in bytes.
    pub arrival_bytes: u64,
}

/// The error of a rebuild that could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The call of Redis failed.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// The written state differs from the expected counts.
    #[error("the rebuilt state is incomplete: {0}")]
    Incomplete(String),
}

/// Seals a rebuild, as its last step: writes the mark if the written state is complete.
pub async fn seal(
    redis: &Redis,
    keys: &SaleKeys,
    mark: &str,
    replid: &str,
    written: WrittenCounts,
) -> Result<(), SealError> {
    let args = vec![
        Bytes::from(mark.to_string()),
        Bytes::from(replid.to_string()),
        Bytes::from(written.stock_fields.to_string()),
        Bytes::from(written.buyer_fields.to_string()),
        Bytes::from(written.arrival_bytes.to_string()),
    ];
    let reply = redis.eval(SEAL, keys.all().to_vec(), args).await?;
    if &reply[..] == b"sealed" {
        Ok(())
    } else {
        Err(SealError::Incomplete(String::from_utf8_lossy(&reply).into()))
    }
}
