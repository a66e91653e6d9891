"""What the HTTP layer shares: set once by service/main.py as `app.state.enlace`."""

from dataclasses import dataclass, field

from service.access.context import Settings as Behaviour
from service.api.admission import ClientRates
from service.auth.resource_server import ResourceServer
from service.notify.offer import offering
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
    issuer: ResourceServer | None = None
    """Who issues access tokens, where this service does not."""

    def __post_init__(self) -> None:
        self.rates = ClientRates(self.settings.client_rate)
        base, grace = f"{self.settings.base_url}/fhir", self.settings.ecm_grace_days
        broken = self.settings.break_glass == "on"
        behaviour = Behaviour(
            self.settings.env,
            base,
            self.page_key,
            ecm_grace_days=grace,
            break_glass=broken,
            small_cell=self.settings.measure_small_cell,
        )
        self.behaviour = offering(behaviour, self.settings)
