from tests.service.workflow.test_stay_orders import *
async def test_dbg(store, send):
  for n, order in ((0,(0,1,2,3)),(1,(3,2,1,0))):
    rosa, luis = await pair(store, n)
    v=f"V{n:04d}"
    ms = known_later(send, rosa, luis, v)
    for i in order:
        await send(ms[i])
    print([tuple(r) for r in await store.fetch("SELECT id%100000,event,state,reason,stay FROM inbox ORDER BY id")])
    print([tuple(r) for r in await store.fetch("SELECT kind,state,payload FROM job ORDER BY id")][-9:])
    print([tuple(r) for r in await store.fetch("SELECT stay,thread,status FROM care_transition")])
  assert 0
