# A stand-in for the two CIM cmdlets that agent.ps1 uses, over the VMs of the stand-in Hyper-V module.
$ErrorActionPreference = 'Stop'
. ([System.IO.Path]::Combine($PSScriptRoot, 'standin', 'types.ps1'))
. ([System.IO.Path]::Combine($PSScriptRoot, 'standin', 'store.ps1'))
$script:Windows = (Get-StandinHost).Windows
$script:Editions = @{ '2012r2' = '6.3.9600'; '2016' = '10.0.14393'; '2019' = '10.0.17763'; '2022' = '10.0.20348'; '2025' = '10.0.26100' }

function Get-CimInstance {
    [CmdletBinding(DefaultParameterSetName = 'ClassNameComputerSet')]
    param([string]$Namespace, [Parameter(Mandatory)][string]$ClassName, [string]$Filter)
    Invoke-Cmdlet 'Get-CimInstance' {
        switch ("$Namespace $ClassName") {
            'root/cimv2 Win32_OperatingSystem' { [pscustomobject]@{ Caption = "Microsoft Windows Server $script:Windows (stand-in)"; Version = $script:Editions[$script:Windows] } }
            'root/cimv2 Win32_Volume' {
                [pscustomobject]@{ Name = '\\?\Volume{00000000-0000-0000-0000-000000000001}\'; Capacity = [uint64]1GB }
                foreach ($volume in (Get-StandinHost).Volumes) { [pscustomobject]@{ Name = $volume.Name; Capacity = $(if ($volume.Capacity -gt 0) { $volume.Capacity }) } }
            }
            'root/cimv2 Win32_Process' {
                # One that ends just now.
                [pscustomobject]@{ ProcessId = [uint32]4; CreationDate = $null }
                foreach ($vm in Get-LiveVms) { [pscustomobject]@{ ProcessId = [uint32]$vm.StandinProcess; CreationDate = [datetime]::new($vm.StandinProcessStart, 'Utc').ToLocalTime() } }
            }
            'root/virtualization/v2 Msvm_ComputerSystem' {
                [pscustomobject]@{ Name = 'STANDIN'; ProcessID = [uint32]0 }
                foreach ($vm in Read-StandinVms) { [pscustomobject]@{ Name = "$($vm.Id)".ToUpperInvariant(); ProcessID = [uint32]$vm.StandinProcess } }
            }
            'root/virtualization/v2 Msvm_KvpExchangeComponent' { foreach ($vm in Get-LiveVms) { Get-Kvp $vm } }
            'root/virtualization/v2 Msvm_ShutdownComponent' {
                foreach ($vm in Get-LiveVms) {
                    $name = "$($vm.Id)".ToUpperInvariant()
                    if ((Test-GuestReady $vm) -and $Filter -eq "SystemName = '$name'") { [pscustomobject]@{ SystemName = $name } }
                }
            }
            'root/virtualization/v2 Msvm_MigrationJob' {
                foreach ($vm in Get-LiveVms) {
                    $name = "$($vm.Id)".ToUpperInvariant()
                    if ($null -ne $vm.StandinMigration -and $Filter -eq "VirtualSystemName = '$name'") { [pscustomobject]@{ VirtualSystemName = $name; JobState = [uint16]4; Cancellable = $true } }
                }
            }
            'root/cimv2 Win32_PerfRawData_HvStats_HyperVHypervisorVirtualProcessor' {
                foreach ($vm in Get-LiveVms) {
                    $counted = Get-Counted $vm
                    foreach ($n in 0..($vm.ProcessorCount - 1)) { [pscustomobject]@{ Name = "$($vm.Name):Hv VP $n"; PercentTotalRunTime = $counted.RunTime[$n] } }
                }
                [pscustomobject]@{ Name = '_Total'; PercentTotalRunTime = [uint64]1 }
            }
            'root/cimv2 Win32_PerfRawData_NvspNicStats_HyperVVirtualNetworkAdapter' {
                foreach ($vm in Get-LiveVms) {
                    $counted = Get-Counted $vm
                    $n = 0
                    foreach ($adapter in $vm.NetworkAdapters) {
                        $instance = "$($vm.Name)_$($adapter.Name)_$($adapter.Id.Substring(10).Replace('\', '--'))"
                        [pscustomobject]@{ Name = $instance; BytesReceivedPersec = $counted.Received[$n]; BytesSentPersec = $counted.Sent[$n] }
                        $n++
                    }
                }
            }
            'root/cimv2 Win32_PerfRawData_Counters_HyperVVirtualStorageDevice' {
                foreach ($vm in Get-LiveVms) {
                    # An instance for each file that is open, counted since it was.
                    foreach ($drive in $vm.HardDrives) {
                        $counted = Get-Counted $vm ([datetime]::UtcNow.Ticks - [System.IO.FileInfo]::new($drive.Path).LastWriteTimeUtc.Ticks)
                        [pscustomobject]@{ Name = $drive.Path.Replace('\', '-').Replace('/', '-'); ReadBytesPersec = $counted.Read; WriteBytesPersec = $counted.Written }
                    }
                    foreach ($drive in $vm.DVDDrives) {
                        if ($drive.Path) { [pscustomobject]@{ Name = $drive.Path.Replace('\', '-').Replace('/', '-'); ReadBytesPersec = [uint64]1PB; WriteBytesPersec = [uint64]0 } }
                    }
                }
            }
            default { throw "the stand-in has no class $ClassName in $Namespace" }
        }
    }
}

function Get-LiveVms { Read-StandinVms | Where-Object { $_.StandinProcess -ne 0 } }
# What the test says that the VM has done; otherwise what grows with the age of its process, or of its disk's file.
function Get-Counted($Vm, [long]$Most = [long]::MaxValue) {
    $said = $null
    if ($null -ne $script:Standin.Counted -and $script:Standin.Counted.TryGetValue($Vm.Name, [ref]$said)) { return $said }
    # In 100 ns.
    $age = [Math]::Min($Most, [datetime]::UtcNow.Ticks - $Vm.StandinProcessStart)
    [StandinCounted]@{
        RunTime = @([uint64]($age / 4)) * $Vm.ProcessorCount
        Received = @([uint64]($age / 100)) * $Vm.NetworkAdapters.Count; Sent = @([uint64]($age / 50)) * $Vm.NetworkAdapters.Count
        Read = $age / 10; Written = $age / 20
    }
}

# What a guest says of itself, once it is up. $env:BERTH_HYPERV_KVP puts any text in the place of its name.
function Get-Kvp($Vm) {
    if (-not (Test-GuestReady $Vm)) { return }
    $text = if ($env:BERTH_HYPERV_KVP) { $env:BERTH_HYPERV_KVP } else { [System.Security.SecurityElement]::Escape($Vm.StandinGuestName) }
    [pscustomobject]@{
        SystemName                  = "$($Vm.Id)".ToUpperInvariant()
        GuestIntrinsicExchangeItems = @(
            '<INSTANCE CLASSNAME="Msvm_KvpExchangeDataItem"><PROPERTY NAME="Data" TYPE="string"><VALUE>1</VALUE></PROPERTY><PROPERTY NAME="Name" TYPE="string"><VALUE>ProcessorArchitecture</VALUE></PROPERTY></INSTANCE>',
            "<INSTANCE CLASSNAME=`"Msvm_KvpExchangeDataItem`"><PROPERTY NAME=`"Data`" TYPE=`"string`"><VALUE>$text</VALUE></PROPERTY><PROPERTY NAME=`"Name`" TYPE=`"string`"><VALUE>FullyQualifiedDomainName</VALUE></PROPERTY></INSTANCE>"
        )
    }
}

function Invoke-CimMethod {
    [CmdletBinding(SupportsShouldProcess)]
    param([Parameter(Mandatory)][object]$InputObject, [Parameter(Mandatory)][string]$MethodName, [System.Collections.IDictionary]$Arguments)
    Invoke-Cmdlet 'Invoke-CimMethod' {
        if ($MethodName -eq 'RequestStateChange') {
            if ($Arguments.RequestedState -ne 4) { throw 'the stand-in only ends jobs' }
            Update-StandinVm 'Invoke-CimMethod' ([guid]$InputObject.VirtualSystemName) { $_.StandinMigration = $null; $_.SecondaryOperationalStatus = '' }
            return [pscustomobject]@{ ReturnValue = [uint32]0 }
        }
        $after = [datetime]::UtcNow.AddMilliseconds($script:Standin.GuestShutdownMs).Ticks
        if ($MethodName -eq 'InitiateReboot' -and $script:Windows -eq '2012r2') { throw 'the class has no such method' }
        Update-StandinVm 'Invoke-CimMethod' ([guid]$InputObject.SystemName) {
            if ($MethodName -eq 'InitiateReboot') { $_.StandinBoot = $after }
            elseif ($_.StandinShutdown -eq 0) { $_.StandinShutdown = $after }
        }
        [pscustomobject]@{ ReturnValue = [uint32]0 }
    }
}
Export-ModuleMember -Function 'Get-CimInstance', 'Invoke-CimMethod'
