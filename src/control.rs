//! The control link: the proxy's own connections to the server, for the catalog, the vault and bulk
//! work, on a runtime of its own so that it never competes with the relay.

use std::future::Future;

/// A pool of connections and the runtime they live on. Cheap to clone.
#[derive(Clone)]
pub struct Control {
    pool: mysql_async::Pool,
    runtime: tokio::runtime::Handle,
}

impl Control {
    pub fn pool(&self) -> &mysql_async::Pool {
        &self.pool
    }

    /// Runs `future` on the control runtime; awaited from any other runtime. `None` if it was
    /// cancelled because the runtime is shutting down.
    pub async fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Option<T> {
        self.runtime.spawn(future).await.ok()
    }
}
