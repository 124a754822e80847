//! GEORADIUS, GEORADIUSBYMEMBER, GEOSEARCH and their storing forms.

use base::num::{parse_f64, parse_i64};
use resp::Reply;
use structs::Packing;
use structs::packed::Element;
use structs::zset::{Cut, Zset, ZsetRef};

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::families::zset::entries::{Gathered, reply_member};
use crate::keyspace::Key;
use crate::tx::{Deadline, Effect, ReadTx, WriteTx};

use super::geohash::{Point, covering};
use super::points::{point, reply_distance, reply_point, unit};
use super::shape::{Search, Shape};

const NOT_A_PLACE: Failure = Failure::fixed("ERR could not decode requested zset member");
const RADIUS: Failure = Failure::fixed("ERR need numeric radius");
const NEGATIVE_RADIUS: Failure = Failure::fixed("ERR radius cannot be negative");
const WIDTH: Failure = Failure::fixed("ERR need numeric width");
const HEIGHT: Failure = Failure::fixed("ERR need numeric height");
const NEGATIVE_BOX: Failure = Failure::fixed("ERR height or width cannot be negative");
const CORNERS: Failure = Failure::fixed("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices");
const NOT_A_COUNT: Failure = Failure::fixed("ERR invalid number of vertices");
const COUNT: Failure = Failure::fixed("ERR COUNT must be > 0");
const ANY_ALONE: Failure = Failure::fixed("ERR the ANY argument requires COUNT argument");

/// Which command asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Around a place; may store.
    Radius,
    RadiusReadOnly,
    /// Around a member; may store.
    ByMember,
    ByMemberReadOnly,
    Search,
    SearchStore,
}

impl Form {
    fn is_search(self) -> bool {
        matches!(self, Form::Search | Form::SearchStore)
    }

    fn may_store(self) -> bool {
        matches!(self, Form::Radius | Form::ByMember)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    None,
    Ascending,
    Descending,
}

/// What becomes the score of what is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scores {
    Places,
    Distances,
}

/// A search as a command asks for it.
struct Query<'a> {
    middle: Option<Point>,
    shape: Option<Shape>,
    unit: f64,
    with_distance: bool,
    with_score: bool,
    with_place: bool,
    order: Order,
    count: usize,
    any: bool,
    scores: Scores,
    /// Word index of the key after STORE or STOREDIST.
    store: Option<usize>,
    /// FROMMEMBER or FROMLONLAT was there.
    from: Option<Word>,
    zset: Option<ZsetRef<'a>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    WithDist,
    WithHash,
    WithCoord,
    Any,
    Asc,
    Desc,
    Count,
    Store,
    StoreDist,
    FromMember,
    FromLonLat,
    ByRadius,
    ByBox,
    ByPolygon,
}

const WORDS: &[(&str, Word)] = &[
    ("withdist", Word::WithDist),
    ("withhash", Word::WithHash),
    ("withcoord", Word::WithCoord),
    ("any", Word::Any),
    ("asc", Word::Asc),
    ("desc", Word::Desc),
    ("count", Word::Count),
    ("store", Word::Store),
    ("storedist", Word::StoreDist),
    ("frommember", Word::FromMember),
    ("fromlonlat", Word::FromLonLat),
    ("byradius", Word::ByRadius),
    ("bybox", Word::ByBox),
    ("bypolygon", Word::ByPolygon),
];

impl<'a> Query<'a> {
    /// Reads a command whose source key is read already.
    fn read(
        zset: Option<ZsetRef<'a>>,
        args: &mut Args<'_>,
        form: Form,
        packing: &Packing,
    ) -> Result<Query<'a>, Failure> {
        let mut query = Query {
            middle: None,
            shape: None,
            unit: 1.0,
            with_distance: false,
            with_score: false,
            with_place: false,
            order: Order::None,
            count: 0,
            any: false,
            scores: Scores::Places,
            store: None,
            from: None,
            zset,
        };
        match form {
            Form::Radius | Form::RadiusReadOnly => {
                query.middle = Some(point(args)?);
                query.read_circle(args)?;
            }
            // Compat: without a key, the words are not looked at.
            Form::ByMember | Form::ByMemberReadOnly if zset.is_none() => args.skip(3),
            Form::ByMember | Form::ByMemberReadOnly => {
                query.read_member(args, packing)?;
                query.read_circle(args)?;
            }
            Form::Search | Form::SearchStore => {}
        }
        while let Some(word) = args.option(WORDS) {
            query.read_option(word, args, form, packing)?;
        }
        args.end()?;
        query.check(args, form)?;
        Ok(query)
    }

    fn read_option(
        &mut self,
        word: Word,
        args: &mut Args<'_>,
        form: Form,
        packing: &Packing,
    ) -> Result<(), Failure> {
        let search = form.is_search();
        let no_shape = |allowed: fn(&Shape) -> bool| self.shape.as_ref().is_none_or(allowed);
        let polygon = matches!(self.shape, Some(Shape::Polygon(_)));
        match word {
            Word::WithDist => self.with_distance = true,
            Word::WithHash => self.with_score = true,
            Word::WithCoord => self.with_place = true,
            Word::Any => self.any = true,
            Word::Asc => self.order = Order::Ascending,
            Word::Desc => self.order = Order::Descending,
            Word::Count if args.left() >= 1 => {
                let count = args.int();
                args.check()?;
                self.count = usize::try_from(count)
                    .ok()
                    .filter(|&n| n > 0)
                    .ok_or(COUNT)?;
            }
            Word::Store | Word::StoreDist if form.may_store() && args.left() >= 1 => {
                self.store = Some(args.count() - args.left());
                args.skip(1);
                self.scores = match word {
                    Word::Store => Scores::Places,
                    _ => Scores::Distances,
                };
            }
            Word::StoreDist if form == Form::SearchStore => self.scores = Scores::Distances,
            Word::FromMember
                if search
                    && args.left() >= 1
                    && self.from != Some(Word::FromLonLat)
                    && !polygon =>
            {
                match self.zset {
                    Some(_) => self.read_member(args, packing)?,
                    None => args.skip(1),
                }
                self.from = Some(word);
            }
            Word::FromLonLat
                if search
                    && args.left() >= 2
                    && self.from != Some(Word::FromMember)
                    && !polygon =>
            {
                self.middle = Some(point(args)?);
                self.from = Some(word);
            }
            Word::ByRadius
                if search && args.left() >= 2 && no_shape(|s| matches!(s, Shape::Circle(_))) =>
            {
                self.read_circle(args)?;
            }
            Word::ByBox
                if search && args.left() >= 3 && no_shape(|s| matches!(s, Shape::Box(..))) =>
            {
                self.read_box(args)?;
            }
            Word::ByPolygon
                if search && args.left() >= 1 && no_shape(|s| matches!(s, Shape::Polygon(_))) =>
            {
                self.read_polygon(args)?;
            }
            _ => return Err(Failure::SYNTAX),
        }
        Ok(())
    }

    fn read_member(&mut self, args: &mut Args<'_>, packing: &Packing) -> Result<(), Failure> {
        let member = args.member(packing);
        let score = self.zset.and_then(|zset| zset.score(member));
        self.middle = Some(Point::of_score(score.ok_or(NOT_A_PLACE)?));
        Ok(())
    }

    fn read_circle(&mut self, args: &mut Args<'_>) -> Result<(), Failure> {
        let radius = parse_f64(args.bytes()).ok_or(RADIUS)?;
        if radius < 0.0 {
            return Err(NEGATIVE_RADIUS);
        }
        self.unit = unit(args)?;
        self.shape = Some(Shape::Circle(radius));
        Ok(())
    }

    fn read_box(&mut self, args: &mut Args<'_>) -> Result<(), Failure> {
        let width = parse_f64(args.bytes()).ok_or(WIDTH)?;
        let height = parse_f64(args.bytes()).ok_or(HEIGHT)?;
        if width < 0.0 || height < 0.0 {
            return Err(NEGATIVE_BOX);
        }
        self.unit = unit(args)?;
        self.shape = Some(Shape::Box(width, height));
        Ok(())
    }

    fn read_polygon(&mut self, args: &mut Args<'_>) -> Result<(), Failure> {
        if self.from.is_some() {
            return Err(Failure::SYNTAX);
        }
        let count = parse_i64(args.bytes()).ok_or(NOT_A_COUNT)?;
        if count < 3 || count > (args.left() / 2) as i64 {
            return Err(CORNERS);
        }
        let corners = (0..count).map(|_| point(args));
        let corners = corners.collect::<Result<Vec<Point>, Failure>>()?;
        self.middle = Some(Point::middle(&corners));
        self.shape = Some(Shape::Polygon(corners));
        Ok(())
    }

    /// Options that do not go together, or are missing.
    fn check(&self, args: &Args<'_>, form: Form) -> Result<(), Failure> {
        let stores = self.store.is_some() || form == Form::SearchStore;
        if stores && (self.with_distance || self.with_score || self.with_place) {
            let what = match form {
                Form::SearchStore => "GEOSEARCHSTORE",
                _ => "STORE option in GEORADIUS",
            };
            return Err(Failure::owned(format!(
                "ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )));
        }
        let polygon = matches!(self.shape, Some(Shape::Polygon(_)));
        let missing = match form.is_search() {
            true if self.from.is_none() && !polygon => "FROMMEMBER or FROMLONLAT",
            true if self.shape.is_none() => "BYRADIUS and BYBOX",
            _ => "",
        };
        if !missing.is_empty() {
            let text = format!("ERR exactly one of {missing} can be specified for ");
            return Err(Failure::owned([text.as_bytes(), args.word(0)].concat()));
        }
        if self.any && self.count == 0 {
            return Err(ANY_ALONE);
        }
        Ok(())
    }

    /// The places found, in the order asked for, as many as asked for.
    fn run(&self) -> Found<'a> {
        let mut found = Found {
            hits: Vec::new(),
            unit: self.unit,
        };
        let (Some(zset), Some(middle), Some(shape)) = (self.zset, self.middle, &self.shape) else {
            return found;
        };
        let search = Search::new(middle, shape, self.unit);
        // Compat: the nearest of all, unless any will do.
        let order = match self.order {
            Order::None if self.count > 0 && !self.any => Order::Ascending,
            order => order,
        };
        let needed = self.with_distance || order != Order::None || self.scores == Scores::Distances;
        let limit = if self.any { self.count } else { usize::MAX };
        for cell in covering(middle, search.radius(), &search.bounds()) {
            if found.hits.len() >= limit {
                break;
            }
            found.look(zset, cell.scores(), &search, needed, limit);
        }
        match order {
            Order::None => {}
            Order::Ascending => found.hits.sort_by(|a, b| a.distance.total_cmp(&b.distance)),
            Order::Descending => found.hits.sort_by(|a, b| b.distance.total_cmp(&a.distance)),
        }
        if self.count > 0 {
            found.hits.truncate(self.count);
        }
        found
    }

    fn reply(&self, found: &Found<'_>, out: &mut Reply) {
        let with = [self.with_distance, self.with_score, self.with_place];
        let extras = with.into_iter().filter(|&with| with).count();
        out.array(found.hits.len());
        for hit in &found.hits {
            if extras > 0 {
                out.array(1 + extras);
            }
            reply_member(hit.member, out);
            if self.with_distance {
                reply_distance(hit.distance / found.unit, out);
            }
            if self.with_score {
                out.int(hit.score as i64);
            }
            if self.with_place {
                reply_point(hit.place, out);
            }
        }
    }
}

struct Hit<'a> {
    member: Element<'a>,
    score: f64,
    place: Point,
    /// Metres; anything if nobody asked for distances.
    distance: f64,
}

struct Found<'a> {
    hits: Vec<Hit<'a>>,
    unit: f64,
}

impl<'a> Found<'a> {
    /// Adds what lies in the area, of the entries with these scores.
    fn look(
        &mut self,
        zset: ZsetRef<'a>,
        scores: (f64, f64),
        search: &Search<'_>,
        needed: bool,
        limit: usize,
    ) {
        let entries = zset.after(Cut::BelowScore(scores.0));
        for (member, score) in entries.take_while(|&(_, score)| score < scores.1) {
            let place = Point::of_score(score);
            if let Some(distance) = search.distance(place, needed) {
                self.hits.push(Hit {
                    member,
                    score,
                    place,
                    distance,
                });
                if self.hits.len() >= limit {
                    return;
                }
            }
        }
    }

    /// As entries of a new sorted set.
    fn gather(&self, scores: Scores, packing: &Packing) -> Gathered {
        let mut gathered = Gathered::default();
        for hit in &self.hits {
            let score = match scores {
                Scores::Places => hit.score,
                Scores::Distances => hit.distance / self.unit,
            };
            gathered.push_element(hit.member, score, packing);
        }
        gathered.sort();
        gathered
    }
}

fn answer(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    form: Form,
    out: &mut Reply,
) -> Result<(), Failure> {
    let zset = tx.read::<Zset>(args.key())?;
    let query = Query::read(zset, args, form, tx.packing())?;
    query.reply(&query.run(), out);
    Ok(())
}

pub(super) fn georadius_ro(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    answer(tx, args, Form::RadiusReadOnly, out)
}

pub(super) fn georadiusbymember_ro(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    answer(tx, args, Form::ByMemberReadOnly, out)
}

pub(super) fn geosearch(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    answer(tx, args, Form::Search, out)
}

pub(super) fn georadius(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    answer_or_store(tx, args, Form::Radius, out)
}

pub(super) fn georadiusbymember(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    answer_or_store(tx, args, Form::ByMember, out)
}

fn answer_or_store(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    form: Form,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let packing = tx.packing();
    let source = args.key();
    let gathered = {
        let reading = tx.reading();
        let query = Query::read(reading.read::<Zset>(source)?, args, form, packing)?;
        let found = query.run();
        let Some(word) = query.store else {
            query.reply(&found, out);
            return Ok(Effect::NOTHING);
        };
        let key = args.keys().iter().find(|key| key.word as usize == word);
        // The lease covers one key after STORE and one after STOREDIST, no more.
        let key = key.ok_or(Failure::SYNTAX)?;
        let key = Key {
            bytes: args.word(word),
            hash: key.hash,
        };
        (key, found.gather(query.scores, packing))
    };
    Ok(store(tx, gathered.0, gathered.1, "georadiusstore", out))
}

pub(super) fn geosearchstore(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let packing = tx.packing();
    let (destination, source) = (args.key(), args.key());
    let gathered = {
        let reading = tx.reading();
        let zset = reading.read::<Zset>(source)?;
        let query = Query::read(zset, args, Form::SearchStore, packing)?;
        query.run().gather(query.scores, packing)
    };
    Ok(store(tx, destination, gathered, "geosearchstore", out))
}

/// Makes `key` hold what was found, and tells of it as `event`.
fn store(
    tx: &mut WriteTx<'_, '_>,
    key: Key<'_>,
    found: Gathered,
    event: &'static str,
    out: &mut Reply,
) -> Effect {
    let (count, packing) = (found.len(), tx.packing());
    out.int(count as i64);
    if count == 0 {
        return Effect::as_sent(usize::from(tx.delete(key)));
    }
    tx.put_collection(key, found.into_zset(packing), Deadline::Clear);
    tx.event(Classes::ZSET, event, key);
    Effect::as_sent(count)
}
