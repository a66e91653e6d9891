"""The desk of the notification tests: a worker moved by hand, and a fake receiver."""

from tests.service.notify.conftest import desk as desk
