# What a change is checked with.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
    cargo deny --all-features --locked check bans licenses sources

# All tests, or those whose name holds a word.
test *words:
    ./test {{words}}

# The whole job on this machine.
demo *arguments:
    cargo run --release -- demo {{arguments}}

# The big runs for the record.
scale *parts:
    tests/scale.sh {{parts}}

# Sluice against others.
bench *options:
    benches/run {{options}}
