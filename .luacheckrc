-- Linter of the Lua scripts, which run in Redis; ./dev lint uses it.
std = "lua51"
max_line_length = 120
-- The API of Redis, and the names of common.lua, which the crate `lua` puts in front of each script.
read_globals = {
  "redis", "struct", "KEYS", "ARGV",
  "SALE", "EPOCH", "MARK", "REPLID", "ENTRY", "BATCH", "lost", "lost_reply", "have_types", "count",
  "entry_around", "now_ms",
}
files["lua/scripts/common.lua"].ignore = { "211" } -- its local names are used by the scripts that follow it
