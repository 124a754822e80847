//! What scripts compute, compared: random calls of the libraries that scripts have (cjson,
//! cmsgpack, struct, bit, and Lua's own as far as numbers and texts go) and random values as
//! replies.
//!
//! A script is a template with drawn literals in it. It returns what its expression gives, or the
//! error, as text that names every type; or the values themselves, so that their conversion to
//! replies is compared. Every reply must be the same to the byte.
//!
//! Invariant: as in the other modes, the scripts depend on the seed only. Tables with several
//! keys are made the same way on both sides, and so both walk them in the same order.

mod literal;

use crate::client::Client;
use crate::peers::Kind;
use crate::process::Server;
use crate::random::Random;
use crate::reply::Reply;

/// Scripts written to a server before its replies are read.
const CHUNK: usize = 50;

/// A run ends when it has found so many differences.
const DIFFERENCES_MAX: usize = 20;

/// Shows all types and all digits.
const SHOW: &str = "local function show(v, d)
  local t = type(v)
  if t == 'number' then return string.format('%.17g', v) end
  if t == 'string' then return string.format('%q', v) end
  if t == 'boolean' then return tostring(v) end
  if v == cjson.null then return 'null' end
  if t ~= 'table' or d > 20 then return t end
  local p = {}
  for k, x in pairs(v) do p[#p + 1] = show(k, d + 1) .. '=' .. show(x, d + 1) end
  table.sort(p)
  return '{' .. table.concat(p, ',') .. '}'
end
local function all(...)
  local p = {}
  for i = 1, select('#', ...) do p[i] = show((select(i, ...)), 0) end
  return table.concat(p, ' ')
end
";

/// Expressions with their weights. `@` and a letter stand for a literal: see `literal::draw`.
const EXPRESSIONS: &[(usize, &str)] = &[
    (6, "tostring(@n)"),
    (6, "@n .. ''"),
    (6, "tonumber(@t)"),
    (4, "tonumber(@t, @i)"),
    (3, "tonumber(@v)"),
    (20, "string.format(@f, @v)"),
    (8, "string.format(@f, @n)"),
    (4, "string.format(@f .. @f, @v, @v)"),
    (2, "@n % @n, @n / @n, @n ^ @i"),
    (2, "math.floor(@n), math.ceil(@n), math.fmod(@n, @n)"),
    (2, "@s < @s, @s == @s, #@s"),
    (2, "string.rep(@s, @i), string.sub(@s, @i, @i)"),
    (2, "{string.byte(@s, @i, @i)}"),
    (2, "redis.sha1hex(@v)"),
    (2, "redis.error_reply(@v)"),
    (2, "redis.status_reply(@v)"),
    (2, "redis.setresp(@v)"),
    (2, "redis.call('echo', @v)"),
    (2, "redis.pcall('echo', @n)"),
    (24, "cjson.encode(@v)"),
    (24, "cjson.decode(@j)"),
    (6, "cjson.decode(@s)"),
    (4, "cjson.encode(cjson.decode(@j))"),
    (4, "cjson.decode(cjson.encode(@v))"),
    (2, "cjson.encode(@v, @v)"),
    (2, "cjson.decode(@v)"),
    (3, "cjson.encode_sparse_array(@b, @i, @i), cjson.encode(@v)"),
    (2, "cjson.encode_max_depth(@i), cjson.encode(@v)"),
    (2, "cjson.decode_max_depth(@i), cjson.decode(@j)"),
    (3, "cjson.encode_number_precision(@i), cjson.encode(@v)"),
    (3, "cjson.encode_invalid_numbers(@b), cjson.encode(@v)"),
    (3, "cjson.decode_invalid_numbers(@b), cjson.decode(@j)"),
    (2, "cjson.encode_keep_buffer(@b)"),
    (20, "cmsgpack.pack(@v)"),
    (6, "cmsgpack.pack(@v, @v)"),
    (12, "{cmsgpack.unpack(@m)}"),
    (6, "{cmsgpack.unpack(@s)}"),
    (10, "{cmsgpack.unpack(cmsgpack.pack(@v, @v))}"),
    (3, "{cmsgpack.unpack_one(cmsgpack.pack(@v, @v), @i)}"),
    (
        3,
        "{cmsgpack.unpack_limit(cmsgpack.pack(@v, @v, @v), @i, @i)}",
    ),
    (2, "{cmsgpack.unpack_limit(@m, @i)}"),
    (2, "{cmsgpack.unpack(@v)}"),
    (12, "struct.pack(@p)"),
    (12, "{struct.unpack(@u)}"),
    (6, "{struct.unpack(@k, @s)}"),
    (4, "{struct.unpack(@k, @s, @i)}"),
    (6, "struct.size(@k)"),
    (2, "struct.pack(@k, @v, @v, @v)"),
    (4, "bit.tobit(@n)"),
    (4, "bit.tohex(@n, @i)"),
    (2, "bit.tohex(@n)"),
    (3, "bit.bnot(@n), bit.bswap(@n)"),
    (4, "bit.band(@n, @n), bit.bor(@n, @n, @n), bit.bxor(@n, @n)"),
    (
        6,
        "bit.lshift(@n, @i), bit.rshift(@n, @i), bit.arshift(@n, @i)",
    ),
    (4, "bit.rol(@n, @i), bit.ror(@n, @i)"),
    (2, "bit.band(@v, @v)"),
    (10, "redis.call('debug', 'protocol', @r)"),
    (3, "redis.pcall('debug', 'protocol', @s)"),
];

/// Before each expression: what a script may have changed for those after it.
const RESET: &str = "cjson.encode_sparse_array(false, 2, 10) cjson.encode_max_depth(1000) \
                     cjson.decode_max_depth(1000) cjson.encode_number_precision(14) \
                     cjson.encode_invalid_numbers(false) cjson.decode_invalid_numbers(true) \
                     cjson.encode_keep_buffer(true)\n";

/// One script, and how it is shown.
struct Script {
    text: Vec<u8>,
    /// The part that was drawn.
    shown: String,
}

fn draw(random: &mut Random) -> Script {
    let resp = if random.one_in(3) { 3 } else { 2 };
    let start = format!("redis.setresp({resp}) ");
    if random.one_in(5) {
        let value = literal::reply(random, 3);
        let shown = format!("{start}return {value}");
        return Script {
            text: shown.clone().into_bytes(),
            shown,
        };
    }
    let total = EXPRESSIONS.iter().map(|(weight, _)| weight).sum();
    let mut at = random.below(total);
    let chosen = EXPRESSIONS.iter().find(|(weight, _)| {
        let found = at < *weight;
        at = at.saturating_sub(*weight);
        found
    });
    let (_, template) = chosen.expect("the number is below the sum of the weights");
    let mut expression = String::new();
    let mut parts = template.split('@');
    expression.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (kind, rest) = part.split_at(1);
        expression.push_str(&literal::draw(kind, random));
        expression.push_str(rest);
    }
    let shown = format!("{start}return all(pcall(function() return {expression} end))");
    Script {
        text: format!("{SHOW}{RESET}{shown}").into_bytes(),
        shown,
    }
}

/// A server and the connection to it.
struct Side {
    client: Client,
    server: Server,
}

impl Side {
    fn start(kind: Kind) -> Result<Side, String> {
        // Settings of the libraries belong to a Lua state, and each worker has its own.
        let args: &[&str] = match kind {
            Kind::Ruddle => &["--workers", "1"],
            Kind::Redis | Kind::Valkey => &[],
        };
        let server = Server::start(kind, args)?;
        let mut client = server.connect().map_err(|error| error.to_string())?;
        client
            .call(&["DEBUG", "SET-DISABLE-DENY-SCRIPTS", "1"])
            .map_err(|error| error.to_string())?;
        Ok(Side { client, server })
    }

    fn run(&mut self, commands: &[Vec<Vec<u8>>]) -> Result<Vec<Reply>, String> {
        self.client.pipeline(commands).map_err(|error| {
            let (kind, log) = (self.server.kind().name(), self.server.log());
            format!("{kind} went silent: {error}\n{log}")
        })
    }
}

/// Runs so many scripts on both servers; how many, or the differences.
pub fn run(subject: Kind, peer: Kind, seed: u64, scripts: usize) -> Result<usize, String> {
    let mut random = Random::new(seed);
    let (mut ours, mut theirs) = (Side::start(subject)?, Side::start(peer)?);
    let mut differences = Vec::new();
    let mut done = 0;
    while done < scripts && differences.len() < DIFFERENCES_MAX {
        let proto = if random.one_in(3) { "3" } else { "2" };
        let drawn: Vec<Script> = (0..CHUNK).map(|_| draw(&mut random)).collect();
        let mut commands = vec![vec![b"HELLO".to_vec(), proto.into()]];
        let eval = |script: &Script| vec![b"EVAL".to_vec(), script.text.clone(), b"0".to_vec()];
        commands.extend(drawn.iter().map(eval));
        let (mine, right) = (ours.run(&commands)?, theirs.run(&commands)?);
        // What HELLO answers names the server.
        for ((script, mine), right) in drawn.iter().zip(&mine[1..]).zip(&right[1..]) {
            if mine != right {
                differences.push(format!(
                    "RESP{proto}: {}\n  {}: {}\n  {}: {}",
                    script.shown,
                    subject.name(),
                    mine.lines().join("\n    "),
                    peer.name(),
                    right.lines().join("\n    ")
                ));
            }
        }
        done += CHUNK;
    }
    if differences.is_empty() {
        return Ok(done);
    }
    let shown = differences.join("\n");
    Err(format!(
        "{} differences after {done} scripts (seed {seed}):\n{shown}",
        differences.len()
    ))
}
