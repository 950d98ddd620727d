// A module of its own, without dependencies, so that contenders whose
// dependencies fit nobody else's can be programs of their own.
module singularity/benchmarks/contender

go 1.26.0
