// What `make rivals` builds Ory Oathkeeper from: versions, and no program of our own.
module latchgate.invalid/oathkeeper

go 1.22

require github.com/ory/oathkeeper v0.40.9

replace github.com/mattn/go-sqlite3 => github.com/mattn/go-sqlite3 v1.14.10 // as its own go.mod has it
