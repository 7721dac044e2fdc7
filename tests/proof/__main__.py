import sys, time
from tests.proof.scenarios import ALL
from tests.proof.explorer import Explorer
for s in ALL:
    if len(sys.argv) > 1 and sys.argv[1] not in s.name: continue
    t=time.time()
    e=Explorer(s, progress=lambda c: print("\r", c.states, c.moves, end="", flush=True))
    try:
        c=e.run()
        print(f"\r{s.name}: {c.states} states {c.moves} moves {c.rests} rests, {sum(c.faults.values())} faults, creates {c.creates} live {c.live} longest {c.longest} {time.time()-t:.1f}s")
    except AssertionError as x:
        print(f"\r{s.name}: VIOLATION {time.time()-t:.1f}s {x}")
