"""What the HTTP layer shares: set once by service/main.py as `app.state.enlace`."""

from dataclasses import dataclass, field

from service.access.context import Settings as Behaviour
from service.api.admission import ClientRates
from service.settings import Settings
from service.store.engine import Store


@dataclass
class Shared:
    store: Store
    settings: Settings
    page_key: bytes
    behaviour: Behaviour = field(init=False)
    rates: ClientRates = field(init=False)
    ready: bool = True

    def __post_init__(self) -> None:
        self.rates = ClientRates(self.settings.client_rate)
        self.behaviour = Behaviour(self.settings.env, f"{self.settings.base_url}/fhir", self.page_key)
