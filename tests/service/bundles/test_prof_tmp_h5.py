import time, cProfile, pstats
from tests.service.bundles.sending import *
from tests.service.bundles.test_races import _weight
import pytest
@pytest.mark.timeout(200)
async def test_prof(world, app_client, capsys):
    client = await app_client()
    a=await post(client,"transaction",*[entry("POST","Observation",_weight(n)) for n in range(500)])
    ids=[e["resource"] for e in a.json()["entry"]]
    for i in range(3):
        ups=[entry("PUT",f"Observation/{r['id']}",{**r,"status":["amended","final","amended"][i]}) for r in ids]
        p=cProfile.Profile()
        t=time.process_time()
        if i==2: p.enable()
        a=await post(client,"transaction",*ups)
        p.disable()
        assert a.status_code==200,a.text
        with capsys.disabled():
            print("cpu", time.process_time()-t)
            if i==2: pstats.Stats(p).sort_stats("tottime").print_stats(30); pstats.Stats(p).sort_stats("cumulative").print_stats("service/|deepcopy", 40)
