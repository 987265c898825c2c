"""The first word of a login with a token, as Google's documentation and RFC 7628 show it."""

from chittycan.integrations.email.sasl import first_message, mechanism


def test_the_messages_are_those_of_their_documents() -> None:
    said = first_message(
        "XOAUTH2", user="someuser@example.com", host="h", token="ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGE"
    )
    assert said == "user=someuser@example.com\1auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGE\1\1"
    said = first_message("OAUTHBEARER", user="a=b,c@example.com", host="server.example.com", token="vF9")
    assert said == "n,a=a=3Db=2Cc@example.com,\1host=server.example.com\1auth=Bearer vF9\1\1"


def test_what_most_servers_know_is_taken_first() -> None:
    assert mechanism(["PLAIN", "OAUTHBEARER", "XOAUTH2"]) == "XOAUTH2"
    assert mechanism(["LOGIN", "OAUTHBEARER"]) == "OAUTHBEARER"
    assert mechanism(["LOGIN", "PLAIN"]) is None
