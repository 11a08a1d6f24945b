"""Who comes to the application: programs with their key, people with their browser."""

BOOTSTRAP_KEY = "bootstrap-key-of-the-tests"
PROCESS_ID = "web-of-the-tests"
PASSWORD = "correct horse"


def program(app):
    """A client that comes with the bootstrap key."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {BOOTSTRAP_KEY}"
    return client


class Browser:
    """A client that keeps its cookies and sends the CSRF token with every form."""

    def __init__(self, client):
        self.client = client

    def get(self, *args, **kwargs):
        return self.client.get(*args, **kwargs)

    def token(self):
        """The CSRF token, as it stands in the forms."""
        text = self.client.get("/login").text
        return text.split('name="csrf_token" value="')[1].split('"')[0]

    def post(self, path, form=None, **kwargs):
        return self.client.post(path, data={"csrf_token": self.token(), **(form or {})}, **kwargs)

    def log_in(self, name="olga", password=PASSWORD, **fields):
        return self.post("/login", {"name": name, "password": password, **fields})
