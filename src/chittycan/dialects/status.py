"""Error class → HTTP status, in one table."""

from chittycan import errors

STATUS: dict[type[errors.ChittyError], int] = {
    errors.InvalidRequest: 400,
    errors.RequestTooLarge: 413,
    errors.UnknownModel: 404,
    errors.NotFound: 404,
    errors.VersionConflict: 412,
    errors.RequestError: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NoPrivateModel: 403,
    errors.AccessError: 403,
    errors.BudgetExceeded: 402,
    errors.RateLimited: 429,
    errors.LimitError: 429,
    errors.CredentialsExhausted: 502,
    errors.AllRateLimited: 429,
    errors.AllCooling: 503,
    errors.UpstreamTimeout: 504,
    errors.AllFailed: 502,
    errors.StreamBroken: 502,
    errors.ProviderError: 502,
    errors.DeadlinePassed: 504,
    errors.NotDelivered: 502,
    errors.DeliveryUnknown: 502,
    errors.DeliveryError: 502,
    errors.Unavailable: 503,
    errors.Cancelled: 499,
    errors.ConfigError: 500,
    errors.UsageError: 400,
    errors.ChittyError: 500,
}


def status_of(error: errors.ChittyError) -> int:
    """The HTTP status of an error; an upstream's own refusal keeps its own."""
    if isinstance(error, errors.UpstreamRefused):
        return error.status if 400 <= error.status < 600 else 502
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
