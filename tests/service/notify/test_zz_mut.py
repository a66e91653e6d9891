import pytest
from service.notify.deciding import Telling
from tests.service.notify.test_deciding import *
from tests.service.notify.conftest import *

@pytest.fixture(autouse=True)
def mutated(monkeypatch):
    monkeypatch.setattr(Telling, "rely", lambda self, change: None)
