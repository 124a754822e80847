-- What a script sees of Lua: every table that all scripts share is shown through a guard, an empty
-- table that reads from the shared one and refuses to be written to. (The reference has a flag for
-- this inside its Lua; ours is unchanged.) The functions that look at a table past its metatable
-- are wrapped so that they know the guards.
--
-- Returns: the environment of scripts, what it reads from, how a library is loaded, the environment
-- of libraries.

local native, libs = ...

local raw_pcall, raw_xpcall, raw_next, raw_pairs = pcall, xpcall, next, pairs
local raw_get, raw_set, raw_getmetatable, raw_setmetatable = rawget, rawset, getmetatable, setmetatable
local raw_insert, raw_remove, raw_sort = table.insert, table.remove, table.sort
local raw_foreach, raw_resume, concat = table.foreach, coroutine.resume, table.concat
local error, type, tostring, unpack = error, type, tostring, unpack
local caught, check, handler = native.caught, native.check, native.handler

local READONLY = 'Attempt to modify a readonly table'

local shown, metas = {}, {}

local function refuse()
    error(READONLY, 2)
end

local function guard(shared, meta)
    local guarded = raw_setmetatable({}, { __index = shared, __newindex = refuse })
    shown[guarded] = shared
    metas[guarded] = meta
    return guarded
end

local function missing(_, name)
    error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
end

-- An environment: what it shares, and an error for all else.
local function environment(shared)
    local meta = { __index = missing }
    raw_setmetatable(shared, meta)
    local guarded = guard(shared, guard(meta))
    return guarded
end

local globals = {
    _VERSION = _VERSION,
    assert = assert,
    collectgarbage = collectgarbage,
    error = error,
    gcinfo = gcinfo,
    ipairs = ipairs,
    loadstring = native.loadstring,
    rawequal = rawequal,
    select = select,
    tonumber = tonumber,
    tostring = tostring,
    type = type,
    unpack = unpack,
}

local function settled(ok, ...)
    if ok then
        return true, ...
    end
    return false, caught((...), true)
end

function globals.pcall(...)
    return settled(raw_pcall(...))
end

local function checked(ok, ...)
    if not ok then
        check()
    end
    return ok, ...
end

function globals.xpcall(f, handle)
    return checked(raw_xpcall(f, function(e)
        return handle(caught(e, false))
    end))
end

function globals.load(reader, name)
    local parts, count = {}, 0
    while true do
        local part = reader()
        if part == nil or part == '' then
            break
        elseif type(part) ~= 'string' then
            error('reader function must return a string', 2)
        end
        count = count + 1
        parts[count] = part
    end
    return native.loadstring(concat(parts), name or '=(load)')
end

function globals.next(t, key)
    local next = raw_next
    local k, v = next(shown[t] or t, key)
    return k, v
end

function globals.pairs(t)
    local inside = shown[t]
    if inside then
        return function(_, key)
            return raw_next(inside, key)
        end, t, nil
    end
    local pairs = raw_pairs
    local f, s, k = pairs(t)
    return f, s, k
end

function globals.rawget(t, key)
    local rawget = raw_get
    local v = rawget(shown[t] or t, key)
    return v
end

function globals.rawset(t, key, value)
    if shown[t] then
        error(READONLY, 0)
    end
    local rawset = raw_set
    rawset(t, key, value)
    return t
end

function globals.setmetatable(t, meta)
    if shown[t] then
        error(READONLY, 0)
    end
    local setmetatable = raw_setmetatable
    setmetatable(t, meta)
    return t
end

local string_meta

function globals.getmetatable(v)
    if type(v) == 'string' then
        return string_meta
    elseif shown[v] then
        return metas[v]
    end
    local getmetatable = raw_getmetatable
    local meta = getmetatable(v)
    return meta
end

function table.insert(t, ...)
    if shown[t] then
        error(READONLY, 0)
    end
    local insert = raw_insert
    insert(t, ...)
end

function table.remove(t, ...)
    if shown[t] then
        error(READONLY, 0)
    end
    local remove = raw_remove
    return (remove(t, ...))
end

function table.sort(t, ...)
    if shown[t] then
        error(READONLY, 0)
    end
    local sort = raw_sort
    sort(t, ...)
end

function table.foreach(t, f)
    local foreach = raw_foreach
    local v = foreach(shown[t] or t, f)
    return v
end

local function resumed(ok, ...)
    if ok then
        return true, ...
    end
    return false, caught((...), false)
end

function coroutine.resume(...)
    return resumed(raw_resume(...))
end

math.random, math.randomseed = native.random, native.randomseed

globals.coroutine = guard(coroutine)
globals.math = guard(math)
globals.os = guard({ clock = os.clock })
globals.string = guard(string)
globals.table = guard(table)
for name, lib in raw_pairs(libs) do
    globals[name] = guard(lib)
end
globals.server = globals.redis
string_meta = guard({ __index = globals.string })

local scripts = environment(globals)
globals._G = scripts

-- While a library is loaded it sees nothing but `redis`, and of that only what may be called then;
-- its functions see what scripts see.
raw_setmetatable(native.loading, { __index = missing })
local loading = guard(native.loading, guard({ __index = missing }))
local library_meta = { __index = globals }
local library = raw_setmetatable({}, library_meta)
local libraries = guard(library, guard({ __index = missing }))

local function load_library(f)
    library.redis, library.server = loading, loading
    library_meta.__index = missing
    local ok, problem = raw_xpcall(f, handler)
    library_meta.__index = globals
    library.redis, library.server = nil, nil
    return ok, problem
end

return scripts, globals, load_library, libraries
