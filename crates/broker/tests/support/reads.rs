//! Reading for engines that hold another one as `inner` and differ from it in how they write.

/// The methods of `storage::Engine` that read, all of the inner engine's.
#[allow(unused_macros, reason = "not every test that has this needs it")]
macro_rules! reads_of_the_inner_engine {
    () => {
        fn read(
            &self,
            log: storage::LogId,
            from: storage::Offset,
            limits: storage::ReadLimits,
        ) -> Result<Vec<storage::StoredBatch>, storage::ReadError> {
            self.inner.read(log, from, limits)
        }

        lookups_of_the_inner_engine!();
    };
}

/// The same but for `read`.
macro_rules! lookups_of_the_inner_engine {
    () => {
        fn pending_bytes(&self) -> u64 {
            self.inner.pending_bytes()
        }

        fn bounds(&self, log: storage::LogId) -> Option<storage::Bounds> {
            self.inner.bounds(log)
        }

        fn seek(
            &self,
            log: storage::LogId,
            timestamp_ms: i64,
        ) -> Result<Option<(storage::Offset, i64)>, storage::ReadError> {
            self.inner.seek(log, timestamp_ms)
        }

        fn last(
            &self,
            log: storage::LogId,
            filter: &model::filter::Filter,
        ) -> Result<Option<storage::Offset>, storage::ReadError> {
            self.inner.last(log, filter)
        }

        fn next(
            &self,
            log: storage::LogId,
            filter: &model::filter::Filter,
            from: storage::Offset,
        ) -> Result<Option<storage::Offset>, storage::ReadError> {
            self.inner.next(log, filter, from)
        }

        fn count(
            &self,
            log: storage::LogId,
            filter: &model::filter::Filter,
            range: std::ops::Range<storage::Offset>,
        ) -> Result<u64, storage::ReadError> {
            self.inner.count(log, filter, range)
        }

        fn offsets(
            &self,
            log: storage::LogId,
            filter: &model::filter::Filter,
            range: std::ops::Range<storage::Offset>,
            limit: usize,
        ) -> Result<Vec<storage::Offset>, storage::ReadError> {
            self.inner.offsets(log, filter, range, limit)
        }

        fn subject(
            &self,
            log: storage::LogId,
            subject: &model::subject::Subject,
        ) -> Result<Option<storage::SubjectSpan>, storage::ReadError> {
            self.inner.subject(log, subject)
        }

        fn subjects(
            &self,
            log: storage::LogId,
            filter: &model::filter::Filter,
            after: Option<&model::subject::Subject>,
            limit: usize,
        ) -> Result<Vec<(model::subject::Subject, storage::SubjectSpan)>, storage::ReadError> {
            self.inner.subjects(log, filter, after, limit)
        }

        fn appended_since(
            &self,
            log: storage::LogId,
            clock_ms: i64,
        ) -> Result<storage::Offset, storage::ReadError> {
            self.inner.appended_since(log, clock_ms)
        }

        fn clock_ms(&self) -> i64 {
            self.inner.clock_ms()
        }

        fn policy(&self, log: storage::LogId) -> Option<storage::Policy> {
            self.inner.policy(log)
        }

        fn get(&self, table: storage::Table, key: &[u8]) -> Option<bytes::Bytes> {
            self.inner.get(table, key)
        }

        fn scan(
            &self,
            table: storage::Table,
            from: &[u8],
            limit: usize,
        ) -> Vec<(bytes::Bytes, bytes::Bytes)> {
            self.inner.scan(table, from, limit)
        }

        fn cursors(
            &self,
            from: &[u8],
            limit: usize,
        ) -> Vec<(bytes::Bytes, storage::LogId, storage::CursorState)> {
            self.inner.cursors(from, limit)
        }

        fn refs(&self, queue: storage::LogId, from: u64, limit: usize) -> Vec<storage::Reference> {
            self.inner.refs(queue, from, limit)
        }
    };
}
