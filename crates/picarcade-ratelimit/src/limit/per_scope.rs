//! One value for each scope.

use super::scope::Scope;

/// One value for each scope. A new scope does not compile until it has a field here.
#[derive(Debug, Clone, Default)]
pub(crate) struct PerScope<T> {
    user: T,
    api_key: T,
    endpoint: T,
    global: T,
}

impl<T> PerScope<T> {
    pub(crate) fn new(mut make: impl FnMut(Scope) -> T) -> Self {
        Self {
            user: make(Scope::User),
            api_key: make(Scope::ApiKey),
            endpoint: make(Scope::Endpoint),
            global: make(Scope::Global),
        }
    }

    #[inline]
    pub(crate) fn of(&self, scope: Scope) -> &T {
        match scope {
            Scope::User => &self.user,
            Scope::ApiKey => &self.api_key,
            Scope::Endpoint => &self.endpoint,
            Scope::Global => &self.global,
        }
    }

    /// Returns each scope with its value, in the order of the scopes.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Scope, &T)> {
        Scope::ALL.into_iter().map(|scope| (scope, self.of(scope)))
    }
}
