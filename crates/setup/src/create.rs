//! Creating: an empty collection with its partitions, the same way whether it is to stay or just tried.

use squall_core::schema::CollectionSchema;
use squall_milvus::admin::{Admin, Layout};

use crate::encoder::partition_name;
use crate::patience::Patience;
use crate::{SetupConfig, SetupError};

/// Makes the collection with these fields and this description.
pub(crate) async fn collection(
    admin: &Admin,
    config: &SetupConfig,
    schema: &CollectionSchema,
    patience: &Patience,
) -> Result<(), SetupError> {
    let collection = config.server.collection.as_str();
    let layout = Layout {
        shards: Some(config.shards),
        partition_key: config.partition_key.clone(),
        partitions: config.partition_key.as_ref().and(config.partitions),
    };
    patience.ask(|| admin.create_collection_with(collection, schema, config.consistency, &layout)).await
}

/// Makes its partitions but for the first `there` ones: Milvus Lite refuses what is there already.
pub(crate) async fn partitions(
    admin: &Admin,
    config: &SetupConfig,
    patience: &Patience,
    there: u32,
) -> Result<(), SetupError> {
    for number in there..config.named_partitions().unwrap_or(0) {
        let partition = partition_name(number);
        patience.ask(|| admin.create_partition(&config.server.collection, &partition)).await?;
    }
    Ok(())
}
