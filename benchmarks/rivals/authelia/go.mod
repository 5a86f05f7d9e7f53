// What `make rivals` builds Authelia from: versions, and no program of our own. The Go module proxy
// gives out nothing newer with all that it needs.
module latchgate.invalid/authelia

go 1.19

require github.com/authelia/authelia/v4 v4.37.5
