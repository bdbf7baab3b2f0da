//! A collection's segments: those that are stored, and those that query nodes hold.

use squall_proto::data_type::SegmentState;

use super::Grpc;
use crate::Error;
use crate::admin::Segment;

impl Grpc {
    pub(in crate::admin) async fn segments(&self, name: &str) -> Result<Option<Vec<Segment>>, Error> {
        let operation = format!("list the segments of collection `{name}`");
        let mut client = self.client.clone();
        let stored = client.get_persistent_segment_info(self.collection(name));
        let stored = match self.call(&operation, name, self.deadlines.call, stored).await {
            Err(Error::Unsupported { .. }) => return Ok(None),
            stored => stored?.infos,
        };
        let state = |number| SegmentState::from_number(number).unwrap_or(SegmentState::None);
        let rows = |number| u64::try_from(number).unwrap_or(0);
        let mut segments: Vec<Segment> = stored
            .iter()
            .map(|info| Segment {
                id: info.segment_id,
                rows: rows(info.num_rows),
                state: state(info.state),
                loaded: false,
            })
            .collect();

        let loaded = client.get_query_segment_info(self.collection(name));
        let loaded = match self.call(&operation, name, self.deadlines.call, loaded).await {
            Err(Error::Unsupported { .. } | Error::NotLoaded { .. }) => Vec::new(),
            loaded => loaded?.infos,
        };
        for info in loaded {
            let loaded = Segment {
                id: info.segment_id,
                rows: rows(info.num_rows),
                state: state(info.state),
                loaded: true,
            };
            match segments.iter_mut().find(|segment| segment.id == loaded.id) {
                Some(segment) => *segment = loaded,
                None => segments.push(loaded),
            }
        }
        segments.sort_by_key(|segment| segment.id);
        Ok(Some(segments))
    }
}
